"""The archive that a process works on: its catalogue and its object store, opened from the settings.

The one place where the embedded default turns into URLs. No use case lives here.
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
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.store import ObjectStore

# A request is answered, or refused with 503, within about five seconds; 16 connections for 40 threads, which hold one
# for a few milliseconds each.
ANSWERING: Final[dict[str, Any]] = {"max_size": 16, "retry_seconds": 3.0, "statement_seconds": 10.0}


@dataclass(frozen=True)
class Archive:
    """An open catalogue and store; safe to share between threads."""

    settings: Settings
    database: Database
    store: ObjectStore

    @contextmanager
    def database_kept_alive(self) -> Iterator[None]:
        """Supervise the embedded server inside the block; with a database given by URL, that is its owner's work."""
        if self.settings.database_url is None:
            with embedded_postgres(self.settings.home).kept_alive():
                yield
        else:
            yield


def _has_current_schema(database: Database) -> bool:
    with database.transaction() as conn:
        return schema.current_revision(conn) == schema.known_revisions()[-1]


def database_url(settings: Settings) -> str:
    """The catalogue's URL; starts the embedded server where none was given."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return _embedded_url(settings, "trr")


def screenalytics_url(settings: Settings) -> str:
    """The URL of the Screenalytics database; starts the embedded server where none was given.

    Raises SetupError where the catalogue is given and this is not: the two are never guessed from one another.
    """
    if not settings.has_face_bank:
        raise SetupError("SCREENALYTICS_DB_URL is not set")
    if settings.screenalytics_db_url is not None:
        return settings.screenalytics_db_url.get_secret_value()
    return _embedded_url(settings, "screenalytics")


def dagster_url(settings: Settings) -> str:
    """Dagster's storage, in the form that SQLAlchemy 2.1 needs: plain `postgresql://` would pick psycopg 3, with
    which dagster-postgres fails on NOTIFY."""
    if settings.dagster_pg_url is not None:
        url = settings.dagster_pg_url.get_secret_value()
    else:
        url = _embedded_url(settings, "dagster")
    scheme, _, rest = url.partition("://")
    return url if "+" in scheme else f"postgresql+psycopg2://{rest}"


def _embedded_url(settings: Settings, database: str) -> str:
    server = embedded_postgres(settings.home)
    server.start()
    return server.url(database)


@contextmanager
def open_archive(settings: Settings, *, s3_client: Any = None, for_answers: bool = False) -> Iterator[Archive]:
    """Open catalogue and store for the length of the block; `for_answers`, with the patience of a server of requests.

    The embedded database is brought to the newest schema by itself; one given by URL never is. Raises SetupError
    when it cannot be reached, holds no schema of ours or an old one.
    """
    url = database_url(settings)
    database = (Database(url, **ANSWERING) if for_answers else Database(url)).open()
    try:
        if settings.database_url is None and not _has_current_schema(database):
            schema.upgrade(database_url(settings))
        with database.transaction() as conn:
            schema.require_current(conn)
        yield Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url, client=s3_client))
    finally:
        database.close()
