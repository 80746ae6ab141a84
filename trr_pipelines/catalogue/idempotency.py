"""Responses kept under the idempotency key of their request: a request repeated within a day gets the same response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("idempotency.sql")

KEPT_HOURS = 24


@dataclass(frozen=True)
class KeptAnswer:
    """The response to an earlier request with this key, and the hash of that request."""

    request_hash: str
    answer: dict[str, Any]


def hold(conn: Connection, caller: str, key: str) -> KeptAnswer | None:
    """The response kept under a caller's key; locks the key until the transaction ends."""
    _queries.hold_key(conn, caller=caller, key=key)
    row = _queries.kept_answer(conn, caller=caller, key=key, hours=KEPT_HOURS)
    return row and KeptAnswer(row["request_hash"], row["answer"])


def keep(conn: Connection, caller: str, key: str, *, request_hash: str, status: int, answer: Mapping[str, Any]) -> None:
    """Keep a response under a key that the transaction has locked; delete responses older than a day."""
    _queries.forget_answers(conn, hours=KEPT_HOURS)
    _queries.keep_answer(
        conn, caller=caller, key=key, request_hash=request_hash, status=status, answer=json.dumps(answer, default=str)
    )
