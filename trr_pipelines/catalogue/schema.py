"""Whether a database holds our schema, at which revision, and how to bring it there.

No table is named here: what the schema holds stands in `migrations/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from trr_pipelines.errors import SetupError

MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant of ours will do: it keeps two upgrades of one database apart.
UPGRADE_LOCK = 7_460_221


def known_revisions() -> list[str]:
    """The revisions that this code knows, oldest first: the numbers that their files begin with."""
    return sorted(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def current_revision(conn: psycopg.Connection[Any]) -> str | None:
    """The revision a database stands at; None where it holds no schema of ours.

    Raises SetupError where a schema `core` stands that is somebody else's.
    """
    cursor = conn.cursor(row_factory=tuple_row)
    found = cursor.execute("select to_regnamespace('core'), to_regclass('core.alembic_version')").fetchone()
    assert found is not None
    if found[0] is None:
        return None
    if found[1] is None:
        raise SetupError(
            f'database "{conn.info.dbname}" holds a schema "core" that is not ours (no core.alembic_version); '
            "give another database in TRR_DATABASE_URL"
        )
    row = cursor.execute("select version_num from core.alembic_version").fetchone()
    return None if row is None else str(row[0])


def require_current(conn: psycopg.Connection[Any]) -> None:
    """Raise SetupError, with the command that mends it, unless the schema is the one this code was written for."""
    current, head = current_revision(conn), known_revisions()[-1]
    if current == head:
        return
    name = conn.info.dbname
    if current is None:
        raise SetupError(f'database "{name}" holds no TRR schema; run: trr db upgrade')
    _require_known(current, name)
    raise SetupError(f'database "{name}" is at revision {current}, this code needs {head}; run: trr db upgrade')


def _require_known(revision: str, name: str) -> None:
    known = known_revisions()
    if revision not in known:
        raise SetupError(
            f'database "{name}" is at revision {revision}, newer than this code ({known[-1]}); upgrade the code'
        )


def upgrade(url: str) -> tuple[str | None, str]:
    """Bring the database at `url` to the newest revision; returns the revision before and after. Idempotent.

    Two upgrades at once wait for each other. `lock_timeout` keeps a migration from queueing behind a long
    transaction and blocking every reader behind itself. Raises SetupError when the database cannot be reached or
    locked, holds a schema that is not ours, or one of newer code.
    """
    import sqlalchemy  # here, because every command imports this module and these two take 0.5 s
    from alembic import command
    from alembic.config import Config

    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("select pg_advisory_lock(%s)", (UPGRADE_LOCK,))
            connection.exec_driver_sql("set lock_timeout = '2s'")
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            before = current_revision(raw)
            if before is not None:
                _require_known(before, raw.info.dbname)
            if before != known_revisions()[-1]:
                connection.exec_driver_sql("create schema if not exists core")
                connection.commit()
                config = Config()
                config.set_main_option("script_location", str(MIGRATIONS))
                config.set_main_option("path_separator", "os")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            after = current_revision(raw)
            connection.commit()
    except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
        raise SetupError(f"cannot upgrade the database: {_first_line(getattr(error, 'orig', error))}") from error
    finally:
        engine.dispose()
    assert after is not None
    return before, after


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0]
