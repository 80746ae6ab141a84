"""The interface of object stores, and its values.

Names that callers and all stores share belong here; writing bytes to a disk or a bucket does not.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote

from trr_pipelines.errors import RetryableError

logger = logging.getLogger(__name__)

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

    def holds(self, size: int, sha256: str) -> bool:
        """Whether the object has this size in bytes and this hash."""
        return (self.bytes, self.sha256) == (size, sha256)


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


@dataclass(frozen=True, slots=True)
class ExternalObject:
    """What a store says of an object of another program; `etag` changes with the content, and is no hash of ours."""

    bytes: int
    etag: str


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

    def replace(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        """Store `data` at `key` in place of a damaged object; otherwise as `put_if_absent`.

        Keys are immutable: only `put_exactly` calls this, for an object that does not hold the bytes of its key.
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

    def whole_key(self, key: str) -> str:
        """The key of the object in the bucket, with the prefix of this store."""
        ...

    def get_external(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """The content of an object that another program wrote, at its key as that program has it.

        The key is the whole key in the bucket, may have any characters, and says nothing about the type. In a directory
        store only its own bucket exists, and no key leads out of its root. Raises `MissingObjectError`
        (`fetch_not_found`), `RetryableError` (`fetch_forbidden`), and `PermanentError` (`too_many_bytes`).
        """
        ...

    def head_external(self, bucket: str, key: str) -> ExternalObject | None:
        """Size and ETag of an object that another program wrote, or None. Raises as `get_external`."""
        ...

    def delete_external(self, bucket: str, key: str) -> None:
        """Remove an object that another program wrote: only for a takedown that was asked to."""
        ...

    def put_record(self, name: str, data: bytes) -> None:
        """Store a record (`FOLDER/NAME`) beside the objects, in place of an earlier one of this name.

        Records are for programs: no listing shows them, and no URL names them.
        """
        ...

    def records(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Name and content of every record in the folder, in the order of names."""
        ...


def read_original(store: ObjectStore, key: str, external_bucket: str, *, max_bytes: int) -> bytes:
    """An original by its key: of the store, or of another program if `external_bucket` is not empty."""
    if external_bucket:
        return store.get_external(external_bucket, key, max_bytes=max_bytes)
    return store.get(key, max_bytes=max_bytes)


def put_exactly(
    store: ObjectStore, key: str, data: bytes, *, content_type: str, sha256: str | None = None
) -> PutObject:
    """Make the object at `key` hold `data`; `created` is False if it did before.

    An object of another size or hash (truncated, or written by another program) is damaged, and is rewritten.
    """
    digest = sha256 or hashlib.sha256(data).hexdigest()
    found = store.put_if_absent(key, data, content_type=content_type, sha256=digest)
    if found.holds(len(data), digest):
        return found
    logger.warning(
        "%s is damaged: %s instead of %s bytes, sha256 %s instead of %s; rewriting it",
        *(key, found.bytes, len(data), found.sha256, digest),
    )
    return store.replace(key, data, content_type=content_type, sha256=digest)


def public_url(base_url: str, key: str) -> str:
    """The quoted key appended to `base_url`, with or without a final slash."""
    return f"{base_url.rstrip('/')}/{quote(key)}"
