"""Reconciling rows with objects: what stands in the store without a row, and which row has no object.

Looks only; removing what it finds is retention's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.store import ObjectStore

# The part of the store that rows describe; other prefixes (contact sheets) are made anew at will.
PREFIXES = ("crops/", "originals/", "variants/")
EXAMPLES = 20
SUSPECTS_AT_A_TIME = 1_000


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

    Both sides come in the order of their keys and are walked side by side, so that memory does not grow with the
    archive. What does not match is looked at once more, because work goes on meanwhile; photos that are being rendered
    may still count as orphans until they are done.
    """
    sides = _Sides(archive)
    with archive.database.transaction() as conn:
        for key, is_listed, is_wanted in _side_by_side(_listed(archive.store), _wanted(conn, archive.store.bucket)):
            sides.note(key, is_listed=is_listed, is_wanted=is_wanted)
    return sides.result()


def _listed(store: ObjectStore) -> Iterator[str]:
    return (item.key for prefix in PREFIXES for item in store.list(prefix))


def _wanted(conn: Connection, bucket: str) -> Iterator[tuple[str, bool]]:
    return ((row["hosted_key"], row["is_served"]) for row in reports.hosted_objects(conn, bucket))


def _side_by_side(listed: Iterator[str], wanted: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool, bool | None]]:
    """Every key of either side with whether it is listed, and whether a row serves it (None: there is no row)."""
    key, row = next(listed, None), next(wanted, None)
    while key is not None or row is not None:
        if row is None or (key is not None and key < row[0]):
            assert key is not None
            yield key, True, None
            key = next(listed, None)
        elif key is None or row[0] < key:
            yield row[0], False, row[1]
            row = next(wanted, None)
        else:
            yield key, True, row[1]
            key, row = next(listed, None), next(wanted, None)


class _Sides:
    """Counts what does not match; suspects are looked at again a thousand at a time."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._objects = self._rows = 0
        self._without_row: list[str] = []
        self._without_object: list[str] = []
        self._counts = {"orphans": 0, "missing": 0}
        self._examples: dict[str, list[str]] = {"orphans": [], "missing": []}

    def note(self, key: str, *, is_listed: bool, is_wanted: bool | None) -> None:
        self._objects += is_listed
        self._rows += is_wanted is not None
        if is_wanted is None:
            self._without_row.append(key)
        elif is_wanted and not is_listed:
            self._without_object.append(key)
        if len(self._without_row) + len(self._without_object) >= SUSPECTS_AT_A_TIME:
            self._look_again()

    def result(self) -> Reconciliation:
        self._look_again()
        return Reconciliation(
            self._counts["orphans"],
            self._counts["missing"],
            self._objects,
            self._rows,
            tuple(self._examples["orphans"]),
            tuple(self._examples["missing"]),
        )

    def _look_again(self) -> None:
        suspects = [*self._without_row, *self._without_object]
        rows = self._archive.database.run(lambda conn: reports.rows_of_objects(conn, suspects)) if suspects else {}
        store = self._archive.store
        self._count("orphans", [key for key in self._without_row if key not in rows])
        self._count("missing", [key for key in self._without_object if rows.get(key) and store.head(key) is None])
        self._without_row, self._without_object = [], []

    def _count(self, what: str, keys: list[str]) -> None:
        self._counts[what] += len(keys)
        self._examples[what] += keys[: EXAMPLES - len(self._examples[what])]
