"""What Dagster's event log holds of photos that were taken down: pictures on contact sheets, rows of tables, URLs.

Dagster has no call that changes an event, so its tables are edited by SQL: an event keeps its place, and says what was
removed from it. Nothing here imports Dagster, so a takedown needs neither its daemon nor the seconds of its import.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from trr_pipelines.catalogue import takedowns
from trr_pipelines.catalogue.takedowns import EventTraces
from trr_pipelines.errors import SetupError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.keys import is_original

TAKEDOWNS_AT_ONCE: Final = 100
EVENTS_AT_ONCE: Final = 200
LIMITS: Final = "-c lock_timeout=10000"
REMOVED: Final = "removed: a photo in it was taken down"
_PICTURES: Final = ("data:image/", "/contact_sheets/")

# Each table, the column that holds an event as JSON, and whether it belongs to a partition whose pictures are to go.
# Outputs of steps repeat the metadata of a materialisation without its partition: they are found by its run.
_TABLES: Final[tuple[tuple[LiteralString, LiteralString, LiteralString], ...]] = (
    (
        "event_logs",
        "event",
        "(coalesce(partition, '') = any(%(partitions)s) or run_id <> '' and run_id in"
        " (select run_id from event_logs where asset_key is not null and partition = any(%(partitions)s)))",
    ),
    ("asset_keys", "last_materialization", "last_materialization like any(%(partition_texts)s)"),
    ("asset_check_executions", "evaluation_event", "false"),
)


@dataclass(frozen=True)
class _Traces:
    """Texts that occur only in what is to be removed, and the partitions whose pictures are."""

    texts: tuple[str, ...]
    partitions: frozenset[str]

    @classmethod
    def of(cls, takedowns: Sequence[EventTraces]) -> _Traces:
        texts = {str(one.media_asset_id) for one in takedowns}
        texts |= {key for one in takedowns for key in one.hosted_keys if is_original(key)}
        texts |= {external["url"] for one in takedowns for external in one.external_objects if external["url"]}
        partitions = {one.batch_key for one in takedowns if one.batch_key is not None}
        partitions |= {str(person) for one in takedowns for person in one.person_ids}
        return cls(tuple(sorted(texts)), frozenset(partitions))


def remove_traces(archive: Archive, url: str) -> int:
    """Remove what Dagster's events in the database at `url` hold of photos that were taken down; returns the photos.

    Raises SetupError when the database cannot be reached.
    """
    photos = 0
    while due := archive.database.run(lambda conn: takedowns.due_events(conn, TAKEDOWNS_AT_ONCE)):
        try:
            with psycopg.connect(url, connect_timeout=5, autocommit=True, options=LIMITS) as conn:
                for table, column, condition in _TABLES:
                    _edit(conn, _Traces.of(due), table, column, condition)
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot remove photos from Dagster's events: {' '.join(str(error).split())}") from error
        ids = [one.media_asset_id for one in due]
        archive.database.run(lambda conn, ids=ids: takedowns.events_are_gone(conn, ids))  # type: ignore[misc]
        photos += len(ids)
    return photos


def _edit(
    conn: psycopg.Connection[Any],
    traces: _Traces,
    table: LiteralString,
    column: LiteralString,
    of_partition: LiteralString,
) -> None:
    """Rewrite the events of one table that have traces, some at a time: each holds up to 20 KB."""
    row = conn.execute("select to_regclass(%s)", (table,)).fetchone()
    if row is None or row[0] is None:  # Dagster has not made its tables yet
        return
    parameters = {
        "texts": [f"%{_pattern(text)}%" for text in traces.texts],
        "pictures": [f"%{text}%" for text in _PICTURES],
        "partitions": sorted(traces.partitions),
        "partition_texts": [f"%{partition}%" for partition in traces.partitions],
        "after": 0,
        "limit": EVENTS_AT_ONCE,
    }
    query: LiteralString = (
        f"select id, {column}, {of_partition} from {table}"  # noqa: S608  the names are ours
        f" where id > %(after)s and ({column} like any(%(texts)s)"
        f" or ({column} like any(%(pictures)s) and {of_partition})) order by id limit %(limit)s"
    )
    update: LiteralString = f"update {table} set {column} = %s where id = %s"  # noqa: S608
    while rows := conn.execute(query, parameters).fetchall():
        for number, text, has_pictures in rows:
            event = json.loads(text)
            edited = _edited(event, traces, has_pictures)
            if edited != event:
                conn.execute(update, (json.dumps(edited), number))
        parameters["after"] = rows[-1][0]


def _pattern(text: str) -> str:
    """A text as it is in JSON, for `like`."""
    return re.sub(r"([\\%_])", r"\\\1", json.dumps(text)[1:-1])


def _edited(value: Any, traces: _Traces, has_pictures: bool) -> Any:
    if isinstance(value, dict):
        return {name: _edited(one, traces, has_pictures) for name, one in value.items()}
    if isinstance(value, list):
        return [_edited(one, traces, has_pictures) for one in value if not _is_row_of(one, traces)]
    if isinstance(value, str) and _is_trace(value, traces, has_pictures):
        return REMOVED
    return value


def _is_row_of(value: Any, traces: _Traces) -> bool:
    """Whether this is a row of a table about one of the photos."""
    if not isinstance(value, dict) or value.get("__class__") != "TableRecord":
        return False
    return any(trace in json.dumps(value) for trace in traces.texts)


def _is_trace(text: str, traces: _Traces, has_pictures: bool) -> bool:
    return any(trace in text for trace in (*traces.texts, *(_PICTURES if has_pictures else ())))
