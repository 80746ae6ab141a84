"""Imports over HTTP: rows and response are stored in one transaction, so that a repeated request runs once.

`pipeline.imports.manifest` parses rows, `pipeline.imports.importing` registers them.
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
from trr_pipelines.pipeline.imports.importing import CHUNK, RegisteredRows, names_of, register_rows
from trr_pipelines.pipeline.imports.manifest import rows_of_request

MAX_ROWS = CHUNK
ACCEPTED = 202


@dataclass(frozen=True)
class IdempotentRequest:
    """The Idempotency-Key of a request and its raw body: one key belongs to one body."""

    key: str
    body: bytes


def import_request(
    database: Database, records: Sequence[Any], *, author: Author, once: IdempotentRequest | None
) -> dict[str, Any]:
    """Register the rows of a request; returns the response with the outcome of each row.

    A bad row is reported and stops no other. With `once`, a repeated request gets the stored response for 24 hours.
    Raises InputError without rows or with more than 500, and ConflictError when the key was used with another body.
    """
    if not 1 <= len(records) <= MAX_ROWS:
        raise InputError(f"rows has {len(records)} entries; 1 to {MAX_ROWS} are needed")
    rows = list(rows_of_request(records))
    request_hash = hashlib.sha256(once.body).hexdigest() if once else ""
    import_id, day = uuid4(), datetime.now(UTC).date()

    def kept_answer(conn: Connection) -> dict[str, Any] | None:
        kept = None if once is None else idempotency.hold(conn, author.actor, once.key)
        if once is not None and kept is not None and kept.request_hash != request_hash:
            raise ConflictError(f"the key {once.key!r} was used for another request within 24 hours")
        return None if kept is None else kept.answer

    def work(conn: Connection) -> dict[str, Any]:
        if (kept := kept_answer(conn)) is not None:
            return kept
        registered = register_rows(conn, import_id, day, rows, names)
        response = {"import_id": str(import_id), "rows": len(rows), **_counts(registered), **_outcomes(registered)}
        audit.record(conn, author, "import", "import", import_id, old=None, new=_counts(registered))
        if once is not None:
            idempotency.keep(conn, author.actor, once.key, request_hash=request_hash, status=ACCEPTED, answer=response)
        return response

    if (kept := database.run(kept_answer)) is not None:
        return kept
    names = names_of(database, rows)
    return database.run(work)


def _counts(registered: RegisteredRows) -> dict[str, int]:
    rejected = len(registered.rejected)
    return {"created": registered.created, "known": registered.known, "rejected": rejected, "links": registered.links}


def _outcomes(registered: RegisteredRows) -> dict[str, Any]:
    return {
        "batches": sorted(registered.batches),
        "items": [
            {
                "row": item.line,
                "outcome": item.outcome,
                "media_asset_id": item.media_asset_id and str(item.media_asset_id),
                "detail": printable(item.detail),
            }
            for item in registered.items
        ],
    }
