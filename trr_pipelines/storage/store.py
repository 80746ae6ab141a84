"""The interface every object store implements, and the values that pass through it.

What belongs here: names that callers and all stores share. How bytes reach a disk or a bucket does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote

from trr_pipelines.errors import RetryableError

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""`Cache-Control` of every object: a key never changes its content, so a year is safe."""


class MissingObjectError(RetryableError):
    """No object stands at the key that was asked for (`storage_unavailable`): lost, or not restored yet."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it stands in a store: `bytes` is its size, `sha256` the hex digest of its content."""

    key: str
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class PutObject(StoredObject):
    """The object that stands at a key after a put; `created` is False when it already stood there."""

    created: bool


@dataclass(frozen=True, slots=True)
class ListedObject:
    """What a listing knows without opening the object; `last_modified` is timezone-aware."""

    key: str
    bytes: int
    last_modified: datetime


class ObjectStore(Protocol):
    """Immutable objects at keys from `storage.keys`. Every method may be called from any thread.

    Raises `InputError` for a key that is none, and `RetryableError` with `storage_unavailable`, `storage_timeout`,
    `storage_denied` or `disk_full` when the store cannot do its part. A call that returns has done it durably.
    """

    @property
    def bucket(self) -> str:
        """What `hosted_bucket` says of objects in this store."""
        ...

    def put_if_absent(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        """Store `data` at `key` unless an object stands there already; its size and hash are then what is returned.

        `content_type` must be the one that the key's extension stands for, `sha256` (computed when None) that of
        `data`. Readers see all of the object or nothing, whenever the writer dies.
        """
        ...

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The object's content.

        Raises `MissingObjectError`, and `PermanentError` (`too_many_bytes`) for an object above `max_bytes`.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """What stands at `key`, or None."""
        ...

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        """Every object whose key starts with `prefix`, in key order, read page by page."""
        ...

    def delete(self, keys: Iterable[str]) -> int:
        """Remove the objects at `keys`, and return how many different keys are gone now; absent ones count too."""
        ...

    def public_url(self, key: str) -> str:
        """Where a browser gets the object."""
        ...


def public_url(base_url: str, key: str) -> str:
    """`base_url` (with or without a slash at its end) and the quoted key."""
    return f"{base_url.rstrip('/')}/{quote(key)}"
