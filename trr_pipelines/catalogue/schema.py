"""The catalogue's schema: its revision in a database, and upgrades. Tables are defined in `migrations/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from trr_pipelines.schema_migrations import Schema

CATALOGUE = Schema(
    name="TRR",
    namespace="core",
    version_table="alembic_version",
    migrations=Path(__file__).parent / "migrations",
    setting="TRR_DATABASE_URL",
    lock=7_460_221,
)


def known_revisions() -> list[str]:
    """The revisions of this code, oldest first."""
    return CATALOGUE.revisions


def current_revision(conn: psycopg.Connection[Any]) -> str | None:
    """The revision of a database; see `Schema.current`."""
    return CATALOGUE.current(conn)


def require_current(conn: psycopg.Connection[Any]) -> None:
    """Raise SetupError unless the schema has the newest revision; see `Schema.require_current`."""
    CATALOGUE.require_current(conn)


def upgrade(url: str) -> tuple[str | None, str]:
    """Upgrade the database at `url` to the newest revision; see `Schema.upgrade`."""
    return CATALOGUE.upgrade(url)
