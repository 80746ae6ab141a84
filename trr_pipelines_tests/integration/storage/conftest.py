"""The stores under test: a directory, and a bucket on each of two S3 servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.store import ObjectStore
from trr_pipelines_tests.support.s3_servers import BASE_URL, S3Server, bucket_on


@pytest.fixture(params=["directory", "moto", "rclone"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store of each kind; the S3 stores list and delete three keys at a time, to cover paging."""
    if request.param == "directory":
        yield DirectoryStore(tmp_path / "media", BASE_URL)
    else:
        server: S3Server = request.getfixturevalue(request.param)
        with bucket_on(server, server.client()) as s3_store:
            yield s3_store
