"""Reconciling rows with objects: objects without a row, rows without an object, and objects that are damaged.

Read-only; retention deletes orphan objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from tempfile import TemporaryFile
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from trr_pipelines.catalogue import retention
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.reconcile import (
    ExternalOriginal,
    HostedObject,
    external_keys,
    external_originals,
    known_batches,
    rows_of_objects,
    spool_hosted_objects,
    spooled_objects,
)
from trr_pipelines.errors import InputError, PermanentError, Reason, RetryableError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.foreign_objects import is_shared
from trr_pipelines.pipeline.stored_objects import NO_OBJECT, Damage, damage_of, unreadable
from trr_pipelines.storage.keys import PREFIXES, SHEETS, may_be_foreign
from trr_pipelines.storage.store import ListedObject, ObjectStore

T = TypeVar("T")

EXAMPLES = 20
SUSPECTS_AT_A_TIME = 1_000
# Each may hold an original of 50 MB.
READING_THREADS = 4


@dataclass(frozen=True)
class Reconciliation:
    """Counts of mismatches, with a few examples of each. `objects_read` is 0 unless hashes were compared.

    `listed_objects` have no row either, but retention has listed them for deletion, or a takedown is deleting them.
    `foreign_objects` have no row, and may be another program's that shares the bucket. Of external originals,
    `external_missing` are gone, and `external_changed` have other bytes than those that were read: both are up to that
    program, so only the first is a mismatch, and their photos keep what was rendered.
    """

    orphan_objects: int
    rows_without_objects: int
    damaged_objects: int
    objects_checked: int
    objects_read: int
    rows_checked: int
    orphan_examples: tuple[str, ...]
    missing_examples: tuple[str, ...]
    damaged_examples: tuple[Damage, ...]
    listed_objects: int = 0
    foreign_objects: int = 0
    external_checked: int = 0
    external_missing: int = 0
    external_changed: int = 0
    external_missing_examples: tuple[str, ...] = ()
    external_changed_examples: tuple[Damage, ...] = ()

    @property
    def is_clean(self) -> bool:
        counts = (self.orphan_objects, self.rows_without_objects, self.damaged_objects, self.external_missing)
        return not any(counts)

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


def reconcile(archive: Archive, *, hashes: bool = False) -> Reconciliation:
    """Compare every object of the store with every row: that both exist, and the size; `hashes` reads every object.

    Retired objects are no orphans, nor are objects that are listed for deletion. Both sides are read in key order and
    merged, so memory does not grow with the archive; the rows are copied to a temporary file first, so no transaction
    is open while the store is read.
    Mismatches are checked again, since work continues during the scan; objects of photos being rendered may count as
    orphans until their rows exist. Raises RetryableError if the store fails.
    """
    with TemporaryFile() as rows, _Mismatches(archive, hashes=hashes) as mismatches:
        archive.database.run(lambda conn: spool_hosted_objects(conn, archive.store.bucket, rows))
        for listed, row in _merged(_listed(archive.store), spooled_objects(rows)):
            mismatches.add(listed, row)
        for originals in _external(archive):
            mismatches.add_external(originals)
        return mismatches.result()


def _external(archive: Archive) -> Iterator[list[ExternalOriginal]]:
    """Every external original that was read, some at a time."""
    after: UUID | None = None
    while originals := archive.database.run(
        lambda conn, after=after: external_originals(conn, after, SUSPECTS_AT_A_TIME)  # type: ignore[misc]
    ):
        yield originals
        after = originals[-1].media_asset_id


def _listed(store: ObjectStore) -> Iterator[ListedObject]:
    return (item for prefix in PREFIXES for item in store.list(prefix))


def _merged(
    objects: Iterator[ListedObject], rows: Iterator[HostedObject]
) -> Iterator[tuple[ListedObject | None, HostedObject | None]]:
    """Every key of either side: the object or None, and the row or None."""
    listed, row = next(objects, None), next(rows, None)
    while listed is not None or row is not None:
        if row is None or (listed is not None and listed.key < row.hosted_key):
            yield listed, None
            listed = next(objects, None)
        elif listed is None or row.hosted_key < listed.key:
            yield None, row
            row = next(rows, None)
        else:
            yield listed, row
            listed, row = next(objects, None), next(rows, None)


class _Mismatches:
    """Counts mismatches; suspects are checked again, with all objects to read, in chunks of a thousand."""

    def __init__(self, archive: Archive, *, hashes: bool) -> None:
        self._archive = archive
        self._hashes = hashes
        self._objects = self._read = self._rows = 0
        self._without_row: list[str] = []
        self._to_compare: list[str] = []  # missing, of another size, or to be read
        self._orphans, self._missing, self._damaged = _Examples[str](), _Examples[str](), _Examples[Damage]()
        self._listed = self._foreign = self._external = 0
        self._external_missing, self._external_changed = _Examples[str](), _Examples[Damage]()
        self._is_shared = archive.database.run(lambda conn: is_shared(archive, conn))
        self._threads = ThreadPoolExecutor(READING_THREADS, "reconcile")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def add(self, listed: ListedObject | None, row: HostedObject | None) -> None:
        self._objects += listed is not None
        self._rows += row is not None
        if row is None:
            assert listed is not None
            self._without_row.append(listed.key)
        elif row.is_served and (self._hashes or listed is None or listed.bytes != row.bytes):
            self._read += self._hashes and listed is not None
            self._to_compare.append(row.hosted_key)
        if len(self._without_row) + len(self._to_compare) >= SUSPECTS_AT_A_TIME:
            self._check()

    def add_external(self, originals: Sequence[ExternalOriginal]) -> None:
        """Count those that are missing or have other bytes."""
        self._external += len(originals)
        damage_of_one = partial(_external_damage, self._archive.store, hashes=self._hashes)
        for damage in self._threads.map(damage_of_one, originals):
            if damage is not None and damage.found == NO_OBJECT:
                self._external_missing.add(damage.key)
            elif damage is not None:
                self._external_changed.add(damage)

    def result(self) -> Reconciliation:
        self._check()
        return Reconciliation(
            self._orphans.count,
            self._missing.count,
            self._damaged.count,
            self._objects,
            self._read,
            self._rows,
            tuple(self._orphans.examples),
            tuple(self._missing.examples),
            tuple(self._damaged.examples),
            self._listed,
            self._foreign,
            self._external,
            self._external_missing.count,
            self._external_changed.count,
            tuple(self._external_missing.examples),
            tuple(self._external_changed.examples),
        )

    def _check(self) -> None:
        suspects = [*self._without_row, *self._to_compare]
        rows = self._archive.database.run(lambda conn: rows_of_objects(conn, suspects)) if suspects else {}
        self._add_orphans([key for key in self._without_row if key not in rows])
        served = [row for key in self._to_compare if (row := rows.get(key)) is not None and row.is_served]
        for damage in self._threads.map(partial(_damage, self._archive.store), served):
            if damage is not None and damage.found == NO_OBJECT:
                self._missing.add(damage.key)
            elif damage is not None:
                self._damaged.add(damage)
        self._without_row, self._to_compare = [], []

    def _add_orphans(self, keys: Sequence[str]) -> None:
        """Count objects without rows: as listed, as foreign, as orphans, or not at all.

        The last are contact sheets of a batch, and external originals.
        """
        if not keys:
            return
        bucket = self._archive.store.bucket

        def read(conn: Connection) -> tuple[set[str], set[str], set[str]]:
            batches = {batch_of_sheet(key) for key in keys if key.startswith(SHEETS)}
            return (
                retention.awaiting_deletion(conn, bucket, keys),
                known_batches(conn, sorted(batches)),
                external_keys(conn, bucket, keys),
            )

        listed, batches, external = self._archive.database.run(read)
        for key in keys:
            if key in external or (key.startswith(SHEETS) and batch_of_sheet(key) in batches):
                continue
            if key in listed:
                self._listed += 1
            elif self._is_shared and may_be_foreign(key):
                self._foreign += 1
            else:
                self._orphans.add(key)


def batch_of_sheet(key: str) -> str:
    """The batch of a contact sheet, by its key."""
    return key.split("/")[1]


class _Examples(Generic[T]):
    """A count, and the first few that were counted."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[T] = []

    def add(self, one: T) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(one)


def _external_damage(store: ObjectStore, original: ExternalOriginal, *, hashes: bool) -> Damage | None:
    """How an external original differs from what was read; its name says bucket and key."""
    name = f"{original.hosted_bucket}/{original.hosted_key}"
    try:
        damage = damage_of(
            store,
            original.hosted_key,
            original.bytes,
            original.sha256,
            by_content=hashes,
            external_bucket=original.hosted_bucket,
        )
    except RetryableError as error:
        if error.reason is not Reason.FETCH_FORBIDDEN:
            raise
        return unreadable(name, original.bytes, original.sha256, error)
    except PermanentError as error:
        return unreadable(name, original.bytes, original.sha256, error)
    return None if damage is None else replace(damage, key=name)


def _damage(store: ObjectStore, row: HostedObject) -> Damage | None:
    """The difference between object and row; an object that the store refuses to read is damaged, a failing store is
    an error."""
    assert row.bytes is not None
    assert row.sha256 is not None
    try:
        return damage_of(store, row.hosted_key, row.bytes, row.sha256, by_content=True)
    except RetryableError as error:
        if error.reason is not Reason.STORAGE_DENIED:
            raise
        return unreadable(row.hosted_key, row.bytes, row.sha256, error)
    except (PermanentError, InputError) as error:
        return unreadable(row.hosted_key, row.bytes, row.sha256, error)
