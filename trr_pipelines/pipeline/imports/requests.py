"""Imports by request: one transaction with its answer, so that a request that is sent twice is done once.

What a row may hold is `pipeline.manifest`'s, how rows are entered `pipeline.importing`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from trr_pipelines.catalogue import audit, idempotency
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import ConflictError, InputError, printable
from trr_pipelines.pipeline.imports.importing import CHUNK, RegisteredRows, enter_rows
from trr_pipelines.pipeline.imports.manifest import rows_of_request

MAX_ROWS = CHUNK
ACCEPTED = 202


@dataclass(frozen=True)
class IdempotentRequest:
    """The key of a request, and its body as it was sent: under one key there is one body."""

    key: str
    body: bytes


def import_request(
    database: Database, records: Sequence[Any], *, author: Author, once: IdempotentRequest | None
) -> dict[str, Any]:
    """Enter the rows of a request; returns what became of each, as it is answered.

    A bad row is reported and stops no other. With `once`, the same request is answered again for 24 hours without
    being done again. Raises InputError without rows or with more than 500, and ConflictError for another body.
    """
    if not 1 <= len(records) <= MAX_ROWS:
        raise InputError(f"rows has {len(records)} entries; 1 to {MAX_ROWS} are needed")
    rows = list(rows_of_request(records))
    request_hash = hashlib.sha256(once.body).hexdigest() if once else ""
    import_id, day = uuid4(), datetime.now(UTC).date()

    def work(conn: Connection) -> dict[str, Any]:
        if once is not None:
            kept = idempotency.hold(conn, author.actor, once.key)
            if kept is not None and kept.request_hash != request_hash:
                raise ConflictError(f"the key {once.key!r} was used for another request within 24 hours")
            if kept is not None:
                return kept.answer
        entered = enter_rows(conn, import_id, day, rows)
        answer = {"import_id": str(import_id), "rows": len(rows), **_counts(entered), **_outcomes(entered)}
        audit.record(conn, author, "import", "import", import_id, old=None, new=_counts(entered))
        if once is not None:
            idempotency.keep(conn, author.actor, once.key, request_hash=request_hash, status=ACCEPTED, answer=answer)
        return answer

    return database.run(work)


def _counts(entered: RegisteredRows) -> dict[str, int]:
    rejected = len(entered.rejected)
    return {"created": entered.created, "known": entered.known, "rejected": rejected, "links": entered.links}


def _outcomes(entered: RegisteredRows) -> dict[str, Any]:
    return {
        "batches": sorted(entered.batches),
        "items": [
            {
                "row": item.line,
                "outcome": item.outcome,
                "media_asset_id": item.media_asset_id and str(item.media_asset_id),
                "detail": printable(item.detail),
            }
            for item in entered.items
        ],
    }
