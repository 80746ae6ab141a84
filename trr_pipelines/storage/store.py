"""The interface of object stores, and its values.

Names that callers and all stores share belong here; writing bytes to a disk or a bucket does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote

from trr_pipelines.errors import RetryableError

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""`Cache-Control` of every object: the content of a key never changes, so a year is safe."""


class MissingObjectError(RetryableError):
    """There is no object at the key (`storage_unavailable`): lost, or not restored yet."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a store: `bytes` is its size, `sha256` the hex digest of its content."""

    key: str
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class PutObject(StoredObject):
    """The object at a key after a put; `created` is False if it existed before."""

    created: bool


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An entry of a listing; `last_modified` is timezone-aware."""

    key: str
    bytes: int
    last_modified: datetime


class ObjectStore(Protocol):
    """Immutable objects at keys from `storage.keys`. Every method may be called from any thread.

    Raises `InputError` for an invalid key, and `RetryableError` with `storage_unavailable`, `storage_timeout`,
    `storage_denied` or `disk_full` if the store fails. The effect of a call that returns is durable.
    """

    @property
    def bucket(self) -> str:
        """The `hosted_bucket` of objects in this store."""
        ...

    def put_if_absent(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        """Store `data` at `key` unless an object exists there; then return the size and hash of that object.

        `content_type` must be that of the key's extension, `sha256` (computed if None) that of `data`. Readers see
        the whole object or nothing, even if the writer dies.
        """
        ...

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The object's content.

        Raises `MissingObjectError`, and `PermanentError` (`too_many_bytes`) for an object above `max_bytes`.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """The object at `key`, or None."""
        ...

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        """Every object whose key starts with `prefix`, in key order, read page by page."""
        ...

    def delete(self, keys: Iterable[str]) -> int:
        """Remove the objects at `keys`, and return the number of different keys, including those that were absent."""
        ...

    def public_url(self, key: str) -> str:
        """The URL of the object for browsers."""
        ...


def public_url(base_url: str, key: str) -> str:
    """The quoted key appended to `base_url`, with or without a final slash."""
    return f"{base_url.rstrip('/')}/{quote(key)}"
