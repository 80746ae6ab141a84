"""Opening the archive of a process: its catalogue and object store, from the settings.

The only place that resolves the embedded default to URLs. No use case belongs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.errors import SetupError
from trr_pipelines.home import make_home
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.store import ObjectStore

# An HTTP request is answered, or refused with 503, within about five seconds; 16 connections serve 40 threads, each of
# which holds one for a few milliseconds.
HTTP_SERVER: Final[dict[str, Any]] = {"max_size": 16, "retry_seconds": 3.0, "statement_seconds": 10.0}


@dataclass(frozen=True)
class Archive:
    """An open catalogue and store; safe to share between threads."""

    settings: Settings
    database: Database
    store: ObjectStore

    @contextmanager
    def database_kept_alive(self) -> Iterator[None]:
        """Restart the embedded server inside the block when it dies; a server given by URL is left to its owner."""
        if self.settings.database_url is None:
            with embedded_postgres(self.settings.home).kept_alive():
                yield
        else:
            yield


def _has_current_schema(database: Database) -> bool:
    return database.run(schema.current_revision) == schema.known_revisions()[-1]


def database_url(settings: Settings) -> str:
    """The catalogue's URL; starts the embedded server when no URL is set."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _embedded_url(settings, "trr")


def screenalytics_url(settings: Settings) -> str:
    """The URL of the Screenalytics database; starts the embedded server when no URL is set.

    Raises SetupError when TRR_DATABASE_URL is set and SCREENALYTICS_DB_URL is not: neither is derived from the other.
    """
    if not settings.has_face_bank:
        raise SetupError("SCREENALYTICS_DB_URL is not set")
    if settings.screenalytics_db_url is not None:
        return settings.screenalytics_db_url.get_secret_value()
    return _embedded_url(settings, "screenalytics")


def dagster_url(settings: Settings) -> str:
    """The URL of Dagster's storage with an explicit driver: SQLAlchemy 2.1 maps plain `postgresql://` to psycopg 3,
    with which dagster-postgres fails on NOTIFY."""
    if settings.dagster_pg_url is not None:
        url = settings.dagster_pg_url.get_secret_value()
    else:
        url = _embedded_url(settings, "dagster")
    scheme, _, rest = url.partition("://")
    return url if "+" in scheme else f"postgresql+psycopg2://{rest}"


def dagster_events_url(settings: Settings) -> str | None:
    """The libpq URL of Dagster's storage; None where it is not configured and this machine has no embedded server.

    Starts the embedded server, as `dagster_url`.
    """
    is_elsewhere = settings.dagster_pg_url is None and settings.database_url is not None
    if is_elsewhere and not (settings.home / "postgres").exists():
        return None
    return f"postgresql://{dagster_url(settings).partition('://')[2]}"


def _embedded_url(settings: Settings, database: str) -> str:
    server = embedded_postgres(settings.home)
    server.start()
    return server.url(database)


def _store(settings: Settings, s3_client: Any) -> ObjectStore:
    if not settings.store_setting:
        try:
            make_home(settings.home)
        except OSError as error:
            raise SetupError(f"cannot use {settings.home} for the object store: {error.strerror}") from error
    return open_store(settings.store_url, base_url=settings.base_url, s3_options=settings.s3_options, client=s3_client)


@contextmanager
def open_archive(settings: Settings, *, s3_client: Any = None, for_http: bool = False) -> Iterator[Archive]:
    """Open catalogue and store for the block; `for_http` uses the short timeouts of a web server.

    The embedded database is migrated automatically; one given by URL never is. Raises SetupError when the database
    cannot be reached, has no schema of ours or an outdated one.
    """
    url = database_url(settings)
    database = (Database(url, **HTTP_SERVER) if for_http else Database(url)).open()
    try:
        if settings.database_url is None and not _has_current_schema(database):
            schema.upgrade(database_url(settings))
        database.run(schema.require_current)
        yield Archive(settings, database, _store(settings, s3_client))
    finally:
        database.close()
