"""Schemas in a database: present revision, checks against this code, upgrades with Alembic.

Alembic runs the migrations; this module adds what it lacks: a lock between two upgrades, refusal of schemas that belong
to other software or to newer code, repair of lost tables, and a revision check that does not import SQLAlchemy (0.5 s).
The migrations are in `catalogue/migrations` and `screenalytics/migrations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from trr_pipelines.errors import SetupError

HINT = "run: trr db upgrade"
UPGRADE_WAIT_SECONDS = 60


@dataclass(frozen=True)
class Schema:
    """One schema and its revisions.

    `namespace` is the PostgreSQL schema of its tables, and `version_table` its table with the revision. `relations` are
    checked for existence; in a namespace shared with other software, the first of them marks a schema. `lock` is the
    number of the advisory lock between two upgrades: any number, one per schema. With `one_transaction` an upgrade is
    one transaction, as a transaction pooler needs; else each revision has its own.
    """

    name: str
    namespace: str
    version_table: str
    migrations: Path
    setting: str
    lock: int
    relations: tuple[str, ...] = ()
    one_transaction: bool = False

    @cached_property
    def revisions(self) -> list[str]:
        """The revisions of this code, oldest first: the numbers in their file names."""
        return sorted(file.name.partition("_")[0] for file in (self.migrations / "versions").glob("[0-9]*.py"))

    @property
    def head(self) -> str:
        return self.revisions[-1]

    def current(self, conn: psycopg.Connection[Any]) -> str | None:
        """The revision of a database; None when it does not contain this schema.

        Raises SetupError when it contains a schema, or table, of this name without our version table.
        """
        cursor = conn.cursor(row_factory=tuple_row)
        version_table = f"{self.namespace}.{self.version_table}"
        row = cursor.execute(
            "select to_regnamespace(%s), to_regclass(%s), to_regclass(%s)",
            (self.namespace, version_table, f"{self.namespace}.{self.relations[0]}" if self.relations else None),
        ).fetchone()
        assert row is not None
        namespace, version, landmark = row
        if version is None:
            if (landmark if self.relations else namespace) is None:
                return None
            what = f'table "{self.relations[0]}"' if self.relations else f'schema "{self.namespace}"'
            raise SetupError(
                f'database "{conn.info.dbname}" holds a {what} that is not ours (no {version_table}); '
                f"give another database in {self.setting}"
            )
        revision = cursor.execute(f"select version_num from {version_table}").fetchone()  # noqa: S608  names are ours
        return None if revision is None else str(revision[0])

    def missing_relations(self, conn: psycopg.Connection[Any]) -> list[str]:
        """Those of `relations` that do not exist."""
        cursor = conn.cursor(row_factory=tuple_row)
        rows = cursor.execute(
            "select name from unnest(%s::text[]) as name where to_regclass(%s || '.' || name) is null",
            (list(self.relations), self.namespace),
        )
        return [row[0] for row in rows]

    def require_current(self, conn: psycopg.Connection[Any]) -> None:
        """Raise SetupError, with the command to run, unless the schema has the newest revision and all relations."""
        current, name = self.current(conn), conn.info.dbname
        missing = self.missing_relations(conn)
        if missing:
            relations = ", ".join(f'"{relation}"' for relation in missing)
            raise SetupError(f'database "{name}" ({self.setting}) has no relation {relations}; {HINT}')
        if current == self.head:
            return
        if current is None:
            raise SetupError(f'database "{name}" holds no {self.name} schema; {HINT}')
        self._require_known(current, name)
        raise SetupError(f'database "{name}" is at revision {current}, this code needs {self.head}; {HINT}')

    def _require_known(self, revision: str, name: str) -> None:
        if revision not in self.revisions:
            raise SetupError(
                f'database "{name}" is at revision {revision}, newer than this code ({self.head}); upgrade the code'
            )

    def upgrade(self, url: str) -> tuple[str | None, str]:
        """Upgrade the database at `url` to the newest revision; returns the revisions before and after. Idempotent.

        When a relation was lost, all revisions run again: those of a schema with `relations` create what is missing and
        keep what exists. Concurrent upgrades wait for each other. `lock_timeout` keeps a migration from queueing behind
        a long transaction, where it would block every reader. Raises SetupError when the database cannot be reached or
        locked, or contains a schema of other software or of newer code.
        """
        import sqlalchemy  # imported here: every command imports this module, and these two take 0.5 s
        from alembic import command
        from alembic.config import Config

        engine = sqlalchemy.create_engine(
            sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=sqlalchemy.NullPool,
            connect_args={"prepare_threshold": None},
        )
        scope, lock = ("local ", "pg_advisory_xact_lock") if self.one_transaction else ("", "pg_advisory_lock")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"set {scope}lock_timeout = '{UPGRADE_WAIT_SECONDS}s'")  # another upgrade's
                connection.exec_driver_sql(f"select {lock}(%s)", (self.lock,))
                connection.exec_driver_sql(f"set {scope}lock_timeout = '2s'")
                raw = connection.connection.driver_connection
                assert isinstance(raw, psycopg.Connection)
                before = self.current(raw)
                if before is not None:
                    self._require_known(before, raw.info.dbname)
                    if self.missing_relations(raw):
                        connection.exec_driver_sql(f"delete from {self.namespace}.{self.version_table}")  # noqa: S608
                if self.current(raw) != self.head:
                    connection.exec_driver_sql(f"create schema if not exists {self.namespace}")
                    if not self.one_transaction:
                        connection.commit()
                    config = Config()
                    config.set_main_option("script_location", str(self.migrations))
                    config.set_main_option("path_separator", "os")
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
                    connection.commit()
                after = self.current(raw)
                connection.commit()
        except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
            raise SetupError(f"cannot upgrade the database: {_first_line(getattr(error, 'orig', error))}") from error
        except (sqlalchemy.exc.ProgrammingError, psycopg.errors.InsufficientPrivilege) as error:
            cause = getattr(error, "orig", error)
            if not isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise
            raise SetupError(
                f"cannot upgrade the database ({self.setting}): {_first_line(cause)}; use a role that may create "
                f"objects in the schema {self.namespace}"
            ) from error
        finally:
            engine.dispose()
        assert after is not None
        return before, after


def run_sql_beside(revision_file: str) -> None:
    """Execute the `.sql` file of the same name as the revision, as one script."""
    from alembic import op

    script = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script)


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0]
