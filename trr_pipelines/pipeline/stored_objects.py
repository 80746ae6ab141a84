"""Comparing an object of the store with the size and hash that its row records.

Shared by checks and reconciliation, which decide what a difference means.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from trr_pipelines.errors import TrrError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.storage.store import MissingObjectError, ObjectStore, read_original

NO_OBJECT = "no object"


@dataclass(frozen=True)
class Damage:
    """An object that is not what its row records: `expected` and `found` are sizes and hashes, or what went wrong."""

    key: str
    expected: str
    found: str


def damage_of(
    store: ObjectStore, key: str, size: int, sha256: str, *, by_content: bool = False, external_bucket: str = ""
) -> Damage | None:
    """How the object at `key` differs from `size` bytes with `sha256`; None if it does not.

    The hash is what the store says; `by_content` reads the object instead, since S3 only repeats what was stored with
    it. An external object, in `external_bucket`, has no hash of ours: unless it is read, its size decides. Raises
    MediaError if the store cannot say, PermanentError above 50 MB.
    """
    found = _read(store, key, external_bucket) if by_content else _asked(store, key, external_bucket, sha256)
    if found == (size, sha256):
        return None
    return Damage(key, _shown(size, sha256), NO_OBJECT if found is None else _shown(*found))


def unreadable(key: str, size: int, sha256: str, error: TrrError) -> Damage:
    """The damage of an object that cannot be read: the store refuses, or the row has no valid key."""
    return Damage(key, _shown(size, sha256), str(error))


def _read(store: ObjectStore, key: str, external_bucket: str) -> tuple[int, str] | None:
    try:
        data = read_original(store, key, external_bucket, max_bytes=MAX_BYTES)
    except MissingObjectError:
        return None
    return len(data), hashlib.sha256(data).hexdigest()


def _asked(store: ObjectStore, key: str, external_bucket: str, recorded: str) -> tuple[int, str] | None:
    if external_bucket:
        external = store.head_external(external_bucket, key)
        return None if external is None else (external.bytes, recorded)
    stored = store.head(key)
    return None if stored is None else (stored.bytes, stored.sha256)


def _shown(size: int, sha256: str) -> str:
    return f"{size} bytes, sha256 {sha256[:12]}…"
