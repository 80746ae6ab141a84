"""Reconciling rows with objects: what stands in the store without a row, and which row has no object.

Looks only; removing what it finds is retention's work.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from trr_pipelines.catalogue import reports
from trr_pipelines.pipeline.archive import Archive

# The part of the store that rows describe; other prefixes (contact sheets) are made anew at will.
PREFIXES = ("crops/", "originals/", "variants/")
EXAMPLES = 20


@dataclass(frozen=True)
class Reconciliation:
    """Counts of what does not match, with a few examples of each."""

    orphan_objects: int
    rows_without_objects: int
    objects_checked: int
    rows_checked: int
    orphan_examples: tuple[str, ...]
    missing_examples: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return self.orphan_objects == 0 and self.rows_without_objects == 0

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


def reconcile(archive: Archive) -> Reconciliation:
    """Compare every object of the store with every row. Objects that rows have retired are no orphans.

    The store is listed before the rows are read: an object is stored before its row is written, so a row that came
    in meanwhile is looked up once more, and work that goes on is no false alarm in that direction. Photos that are
    being rendered may count as orphans until they are done.
    """
    listed = {item.key for prefix in PREFIXES for item in archive.store.list(prefix)}
    with archive.database.transaction() as conn:
        rows = {row["hosted_key"]: row["is_served"] for row in reports.hosted_objects(conn, archive.store.bucket)}
    orphans = sorted(listed - rows.keys())
    missing = sorted(
        key for key, is_served in rows.items() if is_served and key not in listed and archive.store.head(key) is None
    )
    return Reconciliation(
        len(orphans), len(missing), len(listed), len(rows), tuple(orphans[:EXAMPLES]), tuple(missing[:EXAMPLES])
    )
