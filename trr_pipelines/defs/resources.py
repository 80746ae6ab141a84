"""Resources: the archive that assets, checks and sensors work on, and the S3 client it may use."""

import atexit
import multiprocessing
import multiprocessing.connection
import os
import threading
from contextlib import ExitStack
from functools import cache
from typing import Any

from dagster import ConfigurableResource, InitResourceContext
from dagster_aws.s3 import S3Resource

from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.s3 import s3_client


class ArchiveS3Resource(S3Resource):
    """dagster-aws' S3 configuration with a client that waits for bounded times and leaves retries to the store."""

    def get_client(self) -> Any:
        credentials = {
            name: value
            for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            if (value := getattr(self, name)) is not None
        }
        return s3_client(endpoint_url=self.endpoint_url, region=self.region_name, **credentials)


class ArchiveResource(ConfigurableResource):  # type: ignore[type-arg]
    """The catalogue and object store of `TRR_DATABASE_URL` and `TRR_MEDIA_STORE`, or the embedded ones."""

    s3: ArchiveS3Resource

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """A run must not outlive the code server that started it, whatever killed that."""
        del context
        _end_with_parent()

    def get(self) -> Archive:
        """The archive of this process, opened on first use and shared by all that runs in it."""
        return _opened_once(self.s3)


@cache
def _end_with_parent() -> None:
    """Where this process was started by Dagster for a run: end at once when the one that started it is gone.

    What the run held is leased, and free again half a minute later.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@cache
def _opened_once(s3: ArchiveS3Resource) -> Archive:
    settings = load_settings()
    client = s3.get_client() if settings.store_url.startswith("s3:") else None
    stack = ExitStack()
    archive = stack.enter_context(open_archive(settings, s3_client=client))
    atexit.register(stack.close)
    return archive
