"""Reconciling rows with objects: objects without a row, and rows without an object.

Read-only; retention deletes orphan objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.reconcile import hosted_objects, rows_of_objects
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.store import ObjectStore

# Prefixes that rows describe; objects under others (contact sheets) can be recreated.
PREFIXES = ("crops/", "originals/", "variants/")
EXAMPLES = 20
SUSPECTS_AT_A_TIME = 1_000


@dataclass(frozen=True)
class Reconciliation:
    """Counts of mismatches, with a few examples of each."""

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
    """Compare every object of the store with every row. Retired objects are not orphans.

    Both sides are read in key order and merged, so memory does not grow with the archive. Mismatches are checked again,
    since work continues during the scan; objects of photos being rendered may count as orphans until their rows exist.
    """
    mismatches = _Mismatches(archive)
    with archive.database.transaction() as conn:
        for key, is_listed, is_wanted in _merged(_listed(archive.store), _wanted(conn, archive.store.bucket)):
            mismatches.add(key, is_listed=is_listed, is_wanted=is_wanted)
    return mismatches.result()


def _listed(store: ObjectStore) -> Iterator[str]:
    return (item.key for prefix in PREFIXES for item in store.list(prefix))


def _wanted(conn: Connection, bucket: str) -> Iterator[tuple[str, bool]]:
    return ((row.hosted_key, row.is_served) for row in hosted_objects(conn, bucket))


def _merged(listed: Iterator[str], wanted: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool, bool | None]]:
    """Every key of either side, whether it is listed, and whether a row serves it (None: no row)."""
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


class _Mismatches:
    """Counts mismatches; suspects are checked again in chunks of a thousand."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._objects = self._rows = 0
        self._without_row: list[str] = []
        self._without_object: list[str] = []
        self._counts = {"orphans": 0, "missing": 0}
        self._examples: dict[str, list[str]] = {"orphans": [], "missing": []}

    def add(self, key: str, *, is_listed: bool, is_wanted: bool | None) -> None:
        self._objects += is_listed
        self._rows += is_wanted is not None
        if is_wanted is None:
            self._without_row.append(key)
        elif is_wanted and not is_listed:
            self._without_object.append(key)
        if len(self._without_row) + len(self._without_object) >= SUSPECTS_AT_A_TIME:
            self._check_again()

    def result(self) -> Reconciliation:
        self._check_again()
        return Reconciliation(
            self._counts["orphans"],
            self._counts["missing"],
            self._objects,
            self._rows,
            tuple(self._examples["orphans"]),
            tuple(self._examples["missing"]),
        )

    def _check_again(self) -> None:
        suspects = [*self._without_row, *self._without_object]
        rows = self._archive.database.run(lambda conn: rows_of_objects(conn, suspects)) if suspects else {}
        store = self._archive.store
        self._count("orphans", [key for key in self._without_row if key not in rows])
        self._count("missing", [key for key in self._without_object if rows.get(key) and store.head(key) is None])
        self._without_row, self._without_object = [], []

    def _count(self, what: str, keys: list[str]) -> None:
        self._counts[what] += len(keys)
        self._examples[what] += keys[: EXAMPLES - len(self._examples[what])]
