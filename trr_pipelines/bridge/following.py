"""Following the application while it is in use: a step takes what changed, writes edits back, and publishes.

A step is short and may be repeated at any time. How often changes are looked for depends on an index there: without
one, each look reads a whole table.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from trr_pipelines.bridge import sync
from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.publishing import publish_due, write_back
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.errors import ConflictError
from trr_pipelines.pipeline.archive import Archive

LOOKS = "looks"
"""Name of the state with the times of the last looks, in seconds since 1970."""

SCAN_SECONDS = 60.0  # between two looks without an index on updated_at
DELETIONS_SECONDS = 3600.0
PUBLISH_SECONDS = 20.0


@dataclass
class Step:
    """What a step did; `problem` says why changes were not looked for."""

    changed: Counter[str] = field(default_factory=Counter)
    photos: int = 0
    edits: int = 0
    published: Counter[str] = field(default_factory=Counter)
    forgotten: Counter[str] = field(default_factory=Counter)
    problem: str = ""

    def __str__(self) -> str:
        parts = [f"{count} {name} changed" for name, count in sorted((+self.changed).items())]
        parts += [f"{self.photos} new photos"] * bool(self.photos) + [f"{self.edits} edits written back"] * bool(
            self.edits
        )
        parts += [f"{count} {name}" for name, count in sorted(self.published.items())]
        parts += [f"{count} {name} deleted there" for name, count in sorted(self.forgotten.items())]
        return ", ".join([*parts, *([self.problem] if self.problem else [])])


def follow_once(archive: Archive, application: Application, now: float | None = None) -> Step:
    """One step. `now` is in seconds since 1970, by default the present."""
    database = archive.database
    moment = time.time() if now is None else now
    step = Step()
    looks: dict[str, float] = database.run(lambda conn: catalogue.state(conn, LOOKS)) or {}
    step.edits = write_back(database, application)
    try:
        if _is_due(looks, "changes", moment, 0 if sync.has_indexes(application) else SCAN_SECONDS):
            summary = sync.follow(archive, application)
            step.changed, step.photos = summary.changed, summary.photos
            looks["changes"] = moment
        if _is_due(looks, "deletions", moment, DELETIONS_SECONDS):
            step.forgotten = sync.forget_deleted(database, application)
            sync.put_missing_links(database)
            looks["deletions"] = moment
    except ConflictError as error:
        step.problem = str(error)
    step.published = publish_due(database, application, seconds=PUBLISH_SECONDS)
    database.run(lambda conn: catalogue.set_state(conn, LOOKS, looks))
    return step


def _is_due(looks: dict[str, float], name: str, now: float, seconds: float) -> bool:
    """Whether the last look was long enough ago; a clock that was set back counts as due."""
    return not 0 <= now - looks.get(name, 0.0) < seconds
