"""Opening the store of a URL: `file:DIRECTORY` or `s3://BUCKET/PREFIX`.

The only module that knows all stores. The URL is read from the environment in `settings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from trr_pipelines.errors import InputError, MediaError, SetupError
from trr_pipelines.home import make_folder
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.keys import check_key
from trr_pipelines.storage.naming import UnsuitableFileSystemError
from trr_pipelines.storage.s3 import S3Store, s3_client
from trr_pipelines.storage.store import ObjectStore

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def open_store(
    url: str, *, base_url: str, s3_options: Mapping[str, Any] = MappingProxyType({}), client: Any = None
) -> ObjectStore:
    """The store that `url` names, whose objects are served below `base_url`.

    After `file:` comes a literal path, absolute or relative to the working directory; the directory is created, and
    temporary files of dead writers in it are removed. For `s3:` the client is `client`, or one made by `s3_client` with
    `s3_options`; no request is sent. Raises `InputError` for an invalid URL, `SetupError` if the directory cannot be
    created, its file system cannot store objects atomically, or boto3 cannot be set up.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file":
        return _directory_store(url, base_url)
    if scheme == "s3" and rest.startswith("//"):
        return _s3_store(url, base_url, client, s3_options)
    raise InputError(f"an object store is file:DIRECTORY or s3://BUCKET/PREFIX, not {url!r}")


def _directory_store(url: str, base_url: str) -> DirectoryStore:
    path = url.removeprefix("file:")
    if path.startswith("//"):
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise InputError(f"a directory store has no host (file:///DIRECTORY or file:DIRECTORY): {url!r}")
    if not path or "\0" in path:
        raise InputError(f"a directory store requires a directory (file:DIRECTORY): {url!r}")
    root = Path(path).absolute()
    try:
        make_folder(root)
    except OSError as error:
        raise SetupError(f"the object store's directory {root} cannot be made: {error.strerror}") from error
    store = DirectoryStore(root, base_url)
    try:
        store.probe()
        store.remove_leftovers()
    except UnsuitableFileSystemError as error:
        raise SetupError(f"no object store can be in {root}: {error.strerror}") from error
    except (MediaError, OSError):  # a user who may only read, or a full disk: puts report that
        pass
    return store


def _s3_store(url: str, base_url: str, client: Any, s3_options: Mapping[str, Any]) -> S3Store:
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise InputError(f"an S3 store is s3://BUCKET or s3://BUCKET/PREFIX, not {url!r}")
    if prefix:
        check_key(prefix)
    return S3Store(client or s3_client(**s3_options), parts.netloc, base_url, prefix)
