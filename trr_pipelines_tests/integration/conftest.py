"""The S3 servers that tests of several folders use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trr_pipelines_tests.support.s3_servers import S3Server, moto_server, rclone_server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server
