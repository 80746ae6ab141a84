"""Objects as plain files under one directory: the store of a single machine.

How an object is written atomically and durably belongs here; serving it over HTTP does not.

A put writes a temporary file in `.incoming`, syncs it, and gives it its final name if that is free, in one atomic step
(`storage.naming`). Then the directory is synced, so a row committed later never points
at a name that a power cut loses. There is no sidecar file: the type follows from the key, the size from the file
system, the hash from the content, so there is no second file to sync, and none that could disagree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from itertools import groupby
from pathlib import Path
from typing import Final

from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.home import FILE, set_mode
from trr_pipelines.storage import safe_paths
from trr_pipelines.storage.keys import (
    RECORDS,
    check_external,
    check_key,
    check_prefix,
    checked_type,
    content_type_of,
    is_segment,
    record_path,
)
from trr_pipelines.storage.naming import take_free_name, take_name
from trr_pipelines.storage.store import (
    ExternalObject,
    ListedObject,
    MissingObjectError,
    PutObject,
    StoredObject,
    public_url,
)

_INCOMING: Final = ".incoming"  # no key has a segment that starts with a dot, so no key can name it
_LEFTOVER_SECONDS: Final = 3600.0  # a temporary file lives for milliseconds: one this old belongs to a dead process
_LINK_ATTEMPTS: Final = 10

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a FIFO must not block
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# A file in the path, or a name that the file system cannot have: another program's key need not fit it.
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR})


@dataclass(frozen=True)
class OpenObject:
    """An object opened for serving. The caller closes `file`."""

    file: BufferedReader
    bytes: int
    content_type: str
    last_modified: datetime


@dataclass(frozen=True)
class DirectoryStore:
    """Objects under `root`, which the first put creates. Implements `storage.store.ObjectStore`.

    It has no open file, so it can be pickled and shared by threads and processes. A full disk is `disk_full`; a missing
    permission or a symbolic link in the path of a key is `storage_denied`.
    """

    root: Path
    base_url: str
    bucket: str = "local"

    def put_if_absent(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        expected = checked_type(key, content_type, sha256)
        with _storage_errors("storing", key):
            created = not self._exists(key) and self._write(key, data, take_free_name)
            if created:
                return PutObject(key, len(data), sha256 or hashlib.sha256(data).hexdigest(), expected, created=True)
            if existing := self.head(key):
                return PutObject(key, existing.bytes, existing.sha256, expected, created=False)
        raise RetryableError(Reason.STORAGE_UNAVAILABLE, f"{key} was deleted during the put")

    def replace(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        expected = checked_type(key, content_type, sha256)
        with _storage_errors("storing", key):
            self._write(key, data, take_name)
        return PutObject(key, len(data), sha256 or hashlib.sha256(data).hexdigest(), expected, created=True)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        opened = self.open_object(key)
        if opened is None:
            raise MissingObjectError(Reason.STORAGE_UNAVAILABLE, f"no object at {key} in {self.root}")
        with opened.file, _storage_errors("reading", key):
            if max_bytes is not None and opened.bytes > max_bytes:
                raise PermanentError(Reason.TOO_MANY_BYTES, f"{key} has {opened.bytes} bytes, the limit is {max_bytes}")
            return opened.file.read()

    def head(self, key: str) -> StoredObject | None:
        opened = self.open_object(key)
        if opened is None:
            return None
        with opened.file, _storage_errors("reading", key):
            digest = hashlib.file_digest(opened.file, "sha256").hexdigest()
            return StoredObject(key, opened.bytes, digest, opened.content_type)

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        check_prefix(prefix)
        *names, start = prefix.split("/")
        with (
            _storage_errors("listing", prefix),
            suppress(FileNotFoundError, NotADirectoryError),
            safe_paths.directory(self.root, names) as top,
        ):
            yield from _walk(top, "".join(f"{name}/" for name in names), start)

    def delete(self, keys: Iterable[str]) -> int:
        unique = sorted(set(keys))
        for key in unique:
            check_key(key)
        for parent, siblings in groupby(unique, key=lambda key: key.rpartition("/")[0]):
            with _storage_errors("deleting in", parent), suppress(FileNotFoundError):
                names = parent.split("/") if parent else []
                with safe_paths.directory(self.root, names) as directory:
                    for key in siblings:
                        with suppress(FileNotFoundError):
                            os.unlink(key.rpartition("/")[2], dir_fd=directory)
                    os.fsync(directory)  # deleted objects must not reappear after a power cut
                safe_paths.remove_empty(self.root, names)
        return len(unique)

    def public_url(self, key: str) -> str:
        check_key(key)
        return public_url(self.base_url, key)

    def whole_key(self, key: str) -> str:
        check_key(key)
        return key

    def get_external(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        opened = self.open_external(bucket, key)
        if opened is None:
            raise MissingObjectError(
                Reason.FETCH_NOT_FOUND, f"no object at {key!r} of bucket {bucket!r} in {self.root}"
            )
        file, status = opened
        with file, _external_errors(), _storage_errors("reading", repr(key)):
            if status.st_size > max_bytes:
                detail = f"{key!r} has {status.st_size} bytes, the limit is {max_bytes}"
                raise PermanentError(Reason.TOO_MANY_BYTES, detail)
            return file.read()

    def head_external(self, bucket: str, key: str) -> ExternalObject | None:
        opened = self.open_external(bucket, key)
        if opened is None:
            return None
        file, status = opened
        file.close()
        return ExternalObject(status.st_size, f"{status.st_size:x}-{status.st_mtime_ns:x}")

    def delete_external(self, bucket: str, key: str) -> None:
        opened = self.open_external(bucket, key)
        if opened is None:
            return
        opened[0].close()
        *names, name = key.split("/")
        with (
            _external_errors(),
            _storage_errors("deleting", repr(key)),
            suppress(FileNotFoundError),
            safe_paths.directory(self.root, names) as directory,
        ):
            os.unlink(name, dir_fd=directory)
            os.fsync(directory)

    def open_external(self, bucket: str, key: str) -> tuple[BufferedReader, os.stat_result] | None:
        """The file of an object that another program wrote, open for reading; the caller closes it. None if missing."""
        names = self._external_path(bucket, key)
        if names is None:
            return None
        with _external_errors(), _storage_errors("reading", repr(key)):
            try:
                with safe_paths.directory(self.root, names[:-1]) as directory:
                    descriptor = os.open(names[-1], _READ, dir_fd=directory)
            except OSError as error:
                if error.errno in _ABSENT:
                    return None
                raise
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                return None
            return os.fdopen(descriptor, "rb"), status

    def _external_path(self, bucket: str, key: str) -> tuple[str, ...] | None:
        """The path of another program's key below the root; None for what this store cannot have.

        Another bucket, `.` and `..`, empty segments (S3 has them, a file system does not), and our own hidden folders.
        """
        check_external(bucket, key)
        names = tuple(key.split("/"))
        is_own = names[0] in (_INCOMING, RECORDS)
        if bucket != self.bucket or is_own or any(name in ("", ".", "..") or "\0" in name for name in names):
            return None
        return names

    def put_record(self, name: str, data: bytes) -> None:
        with _storage_errors("storing the record", name):
            self._write("/".join(record_path(name)), data, take_name)

    def records(self, folder: str) -> Iterator[tuple[str, bytes]]:
        with (
            _storage_errors("reading the records of", folder),
            suppress(FileNotFoundError),
            safe_paths.directory(self.root, [RECORDS, folder]) as directory,
        ):
            for name in sorted(os.listdir(directory)):  # noqa: PTH208  a Path cannot be a descriptor
                if name.endswith(".json"):
                    with os.fdopen(os.open(name, _READ, dir_fd=directory), "rb") as file:
                        yield f"{folder}/{name.removesuffix('.json')}", file.read()

    def open_object(self, key: str) -> OpenObject | None:
        """The object at `key`, open for reading, with what response headers need; None if there is none.

        Does not read the content, unlike `head`, which hashes it.
        """
        content_type = content_type_of(key)
        *names, name = key.split("/")
        with _storage_errors("reading", key):
            try:
                with safe_paths.directory(self.root, names) as directory:
                    descriptor = os.open(name, _READ, dir_fd=directory)
            except FileNotFoundError:
                return None
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                raise RetryableError(Reason.STORAGE_DENIED, f"{key} is not a regular file in {self.root}")
            return OpenObject(os.fdopen(descriptor, "rb"), status.st_size, content_type, _modified(status))

    def probe(self) -> None:
        """Name and remove an empty file, as a put does.

        Raises UnsuitableFileSystemError, or another OSError if nothing can be written.
        """
        safe_paths.make(self.root, [_INCOMING])
        with safe_paths.directory(self.root, [_INCOMING]) as incoming:
            temporary = uuid.uuid4().hex
            names = (temporary, f"{temporary}-probe")
            os.close(os.open(temporary, _CREATE, FILE, dir_fd=incoming))
            try:
                take_free_name(temporary, incoming, names[1], incoming)
            finally:
                for name in names:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=incoming)

    def remove_leftovers(self) -> int:
        """Remove temporary files of dead processes (older than an hour), and return their number."""
        removed = 0
        before = time.time() - _LEFTOVER_SECONDS
        with (
            _storage_errors("sweeping", _INCOMING),
            suppress(FileNotFoundError),
            safe_paths.directory(self.root, [_INCOMING]) as incoming,
        ):
            for name in os.listdir(incoming):  # noqa: PTH208  a Path cannot be a descriptor
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=incoming, follow_symlinks=False).st_mtime < before:
                        os.unlink(name, dir_fd=incoming)
                        removed += 1
        return removed

    def _exists(self, key: str) -> bool:
        """Whether the name exists; if so, it is durable when this returns, even if its writer has not synced it yet."""
        *names, name = key.split("/")
        with suppress(FileNotFoundError), safe_paths.directory(self.root, names) as target:
            os.stat(name, dir_fd=target, follow_symlinks=False)
            os.fsync(target)
            return True
        return False

    def _write(self, key: str, data: bytes, give_name: Callable[[str, int, str, int], bool]) -> bool:
        """Write a temporary file and give it its final name; False if it did not get it, because the name exists.

        Either way the name is durable when this returns.
        """
        *names, name = key.split("/")
        safe_paths.make(self.root, [_INCOMING])
        with safe_paths.directory(self.root, [_INCOMING]) as incoming, self._written(incoming, data) as temporary:
            for _ in range(_LINK_ATTEMPTS):
                with suppress(FileNotFoundError):  # a delete removed the empty directory: create it again
                    safe_paths.make(self.root, names)
                    with safe_paths.directory(self.root, names) as target:
                        created = give_name(temporary, incoming, name, target)
                        os.fsync(target)  # journals keep order: new parent directories are durable with it
                        return created
        raise RetryableError(Reason.STORAGE_UNAVAILABLE, f"the directory of {key} was removed {_LINK_ATTEMPTS} times")

    @contextmanager
    def _written(self, incoming: int, data: bytes) -> Iterator[str]:
        """The name of a temporary file with `data`, synced; it is removed after the block."""
        name = uuid.uuid4().hex
        mode = safe_paths.readers(self.root) & 0o666
        try:
            with os.fdopen(os.open(name, _CREATE, FILE, dir_fd=incoming), "wb") as file:
                if mode != FILE:
                    set_mode(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield name
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=incoming)


def _walk(directory: int, path: str, start: str) -> Iterator[ListedObject]:
    """The objects below `directory`, whose path is `path`, in the order of an S3 listing."""
    with os.scandir(directory) as entries:
        selected = [entry for entry in entries if entry.name.startswith(start) and is_segment(entry.name)]
    folders = {entry.name for entry in selected if entry.is_dir(follow_symlinks=False)}
    for name in sorted((entry.name for entry in selected), key=lambda name: f"{name}/" if name in folders else name):
        with suppress(FileNotFoundError):  # deleted during the listing
            if name in folders:
                step = os.open(name, safe_paths.STEP, dir_fd=directory)
                try:
                    yield from _walk(step, f"{path}{name}/", "")
                finally:
                    os.close(step)
            else:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield ListedObject(path + name, status.st_size, _modified(status))


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


@contextmanager
def _storage_errors(doing: str, what: str) -> Iterator[None]:
    """Translate errors of the file system into those of the interface."""
    try:
        yield
    except OSError as error:
        raise _translated(error, f"{doing} {what}: {error.strerror or error}") from error


@contextmanager
def _external_errors() -> Iterator[None]:
    """A missing permission, or a link in place of a file, has the reason of a source."""
    try:
        yield
    except RetryableError as error:
        if error.reason is not Reason.STORAGE_DENIED:
            raise
        raise RetryableError(Reason.FETCH_FORBIDDEN, error.detail) from error


def _translated(error: OSError, detail: str) -> MediaError:
    if error.errno in _FULL:
        return RetryableError(Reason.DISK_FULL, detail)
    if error.errno in _DENIED:
        return RetryableError(Reason.STORAGE_DENIED, detail)
    return RetryableError(Reason.STORAGE_UNAVAILABLE, detail)
