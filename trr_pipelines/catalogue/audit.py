"""The audit trail: one row per change, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.errors import printable

_queries = load_queries("audit.sql")


@dataclass(frozen=True)
class Author:
    """Who makes a change: `actor` is an e-mail or a name, `caller` the interface (admin, admin_app, cli, …)."""

    actor: str
    caller: str
    request_id: str = ""


def record(
    conn: Connection,
    author: Author,
    action: str,
    entity_kind: str,
    entity_id: UUID | str,
    *,
    old: Mapping[str, object] | None,
    new: Mapping[str, object] | None,
) -> None:
    """Record that `author` did `action` to an entity, with its values before and after."""
    _queries.record(
        conn,
        actor=printable(author.actor),
        caller=author.caller,
        action=action,
        entity_kind=entity_kind,
        entity_id=str(entity_id),
        old=_json(old),
        new=_json(new),
        request_id=author.request_id,
    )


def _json(values: Mapping[str, object] | None) -> str | None:
    return None if values is None else json.dumps(values, default=str)
