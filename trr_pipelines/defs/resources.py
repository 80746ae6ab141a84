"""The archive and the face bank as resources, their configuration, and the executor of all jobs.

A field of a resource overrides the setting of the same name. Where the environment has the variable, the field is an
`EnvVar`: the UI shows its name, never its value.
"""

import atexit
import multiprocessing
import multiprocessing.connection
import os
import threading
from contextlib import ExitStack
from functools import cache
from typing import Any

from dagster import ConfigurableResource, Definitions, EnvVar, InitResourceContext, definitions, in_process_executor
from dagster_aws.s3 import S3Resource
from pydantic import Field

from trr_pipelines.credentials import with_credentials
from trr_pipelines.pipeline.archive import Archive, open_archive, screenalytics_url
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient
from trr_pipelines.screenalytics.factory import open_bank, open_client
from trr_pipelines.screenalytics.quality import PHOTOS_PER_LOOK
from trr_pipelines.settings import Settings, load_settings
from trr_pipelines.storage.s3 import s3_client


class ArchiveS3Resource(S3Resource):
    """dagster-aws' S3 configuration with a client that waits for bounded times and leaves retries to the store.

    What is not set here is as in the settings, or as boto3 finds it: environment, profile, role.
    """

    def client_options(self) -> dict[str, Any]:
        """Arguments of `s3_client`."""
        credentials = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        given = {name: value for name in credentials if (value := getattr(self, name)) is not None}
        options = {"endpoint_url": self.endpoint_url, "region": self.region_name, **given}
        return {name: value for name, value in options.items() if value is not None}


class ArchiveResource(ConfigurableResource):  # type: ignore[type-arg]
    """The catalogue and object store of `TRR_DATABASE_URL` and `TRR_MEDIA_STORE`, or the embedded ones."""

    home: str | None = Field(None, description="Directory of the embedded default and of logs. Unset: .trr")
    database_url: str | None = Field(None, description="URL of the catalogue. Unset: the embedded PostgreSQL")
    media_store: str | None = Field(None, description="file:DIR or s3://BUCKET/PREFIX. Unset: a directory under home")
    media_base_url: str | None = Field(None, description="Public URL of the store's objects. Unset: /media of the API")
    s3: ArchiveS3Resource

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """A run must not outlive the code server that started it, however that ended."""
        del context
        _end_with_parent()

    def settings(self) -> Settings:
        """The settings with the fields of this resource. Raises SetupError."""
        return load_settings(
            home=self.home,
            database_url=self.database_url,
            media_store=self.media_store,
            media_base_url=self.media_base_url,
        )

    def get(self) -> Archive:
        """The archive, opened on first use and shared by everything in this process. Raises SetupError."""
        return _process_archive.get(self.settings(), self.s3)


class ScreenalyticsResource(ConfigurableResource):  # type: ignore[type-arg]
    """The face bank of `SCREENALYTICS_DB_URL`, and a client of the backend at `TRR_API_URL` with Screenalytics' token.

    `photos_per_look` limits the quality gate of one import; the next import continues.
    """

    database_url: str | None = Field(None, description="URL of the Screenalytics database. Unset: the embedded one")
    api_url: str | None = Field(None, description="URL of the backend. Unset: the API of the embedded default")
    service_token: str | None = Field(None, description="Bearer token of Screenalytics. Unset: the embedded default's")
    photos_per_look: int = PHOTOS_PER_LOOK

    def settings(self) -> Settings:
        """The settings with the fields of this resource. Raises SetupError."""
        return load_settings(
            screenalytics_db_url=self.database_url,
            api_url=self.api_url,
            screenalytics_service_token=self.service_token,
        )

    def bank(self) -> FaceBank:
        """The face bank; the embedded one is brought to its newest schema."""
        settings = self.settings()
        return open_bank(screenalytics_url(settings), upgrade=settings.screenalytics_db_url is None)

    def client(self) -> BackendClient:
        """A client, for use in a `with` statement."""
        return open_client(with_credentials(self.settings()))


def from_environment(*variables: str) -> str | None:
    """The first of these variables that is set, as an `EnvVar`; None when none is.

    An `EnvVar` of a variable that is not set fails when a run starts.
    """
    return next((variable for variable in map(EnvVar, variables) if variable.get_value()), None)


APPLICATION_TABLES = {name: f"application/{name}" for name in ("media_assets", "media_links", "cast_photos")}
"""Asset keys of the application's tables."""


def is_bridged() -> bool:
    """Whether an application is configured, whose tables and publications are part of the graph."""
    return from_environment("TRR_APPLICATION_DB_URL") is not None


@definitions
def resources() -> Definitions:
    """The resources, configured from the environment, and one process per run."""
    return Definitions(
        resources={
            "archive": ArchiveResource(
                home=from_environment("TRR_HOME"),
                database_url=from_environment("TRR_DATABASE_URL"),
                media_store=from_environment("TRR_MEDIA_STORE"),
                media_base_url=from_environment("TRR_MEDIA_BASE_URL"),
                s3=ArchiveS3Resource(
                    endpoint_url=from_environment(
                        "OBJECT_STORAGE_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
                    ),
                    region_name=from_environment("OBJECT_STORAGE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
                ),
            ),
            "screenalytics": ScreenalyticsResource(
                database_url=from_environment("SCREENALYTICS_DB_URL", "DB_URL"),
                api_url=from_environment("TRR_API_URL"),
                service_token=from_environment("SCREENALYTICS_SERVICE_TOKEN"),
            ),
        },
        # Parallelism is inside the assets: a process per step costs 6-13 s of start-up for 0.2-0.5 s of ours.
        executor=in_process_executor,
    )


class _ProcessArchive:
    """The open archive of this process; opened again when the configuration differs from the one it was opened with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._archive: Archive | None = None
        self._s3_options: dict[str, Any] = {}
        atexit.register(self._stack.close)

    def get(self, settings: Settings, s3: ArchiveS3Resource) -> Archive:
        """The archive of these settings, opened if necessary."""
        options = settings.s3_options | s3.client_options()
        with self._lock:
            if self._archive is None or (self._archive.settings, self._s3_options) != (settings, options):
                self._stack.close()
                self._archive = None
                client = s3_client(**options) if settings.store_url.startswith("s3:") else None
                self._archive = self._stack.enter_context(open_archive(settings, s3_client=client))
                self._s3_options = options
            return self._archive


_process_archive = _ProcessArchive()


@cache
def _end_with_parent() -> None:
    """In a process that Dagster started for a run: end at once when its parent has ended.

    What the run leased is free again half a minute later.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
