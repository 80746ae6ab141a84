"""Whether a database holds a schema of ours, at which revision, and how to bring it there.

What a schema holds stands in its migrations: `catalogue/migrations`, `screenalytics/migrations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from trr_pipelines.errors import SetupError

MEND = "run: trr db upgrade"


@dataclass(frozen=True)
class Schema:
    """One schema and its revisions.

    `namespace` is where its tables stand, and `version_table` the one in it that holds the revision. `relations` are
    those whose absence is looked for: where the namespace is not ours alone, the first of them shows that somebody
    has been here. `lock` keeps two upgrades of one database apart; any number of its own will do.
    """

    name: str
    namespace: str
    version_table: str
    migrations: Path
    setting: str
    lock: int
    relations: tuple[str, ...] = ()

    @cached_property
    def revisions(self) -> list[str]:
        """The revisions that this code knows, oldest first: the numbers that their files begin with."""
        return sorted(file.name.partition("_")[0] for file in (self.migrations / "versions").glob("[0-9]*.py"))

    @property
    def head(self) -> str:
        return self.revisions[-1]

    def current(self, conn: psycopg.Connection[Any]) -> str | None:
        """The revision a database stands at; None where it holds no schema of ours.

        Raises SetupError where a schema, or a table, of this name stands that is somebody else's.
        """
        cursor = conn.cursor(row_factory=tuple_row)
        version_table = f"{self.namespace}.{self.version_table}"
        found = cursor.execute(
            "select to_regnamespace(%s), to_regclass(%s), to_regclass(%s)",
            (self.namespace, version_table, f"{self.namespace}.{self.relations[0]}" if self.relations else ""),
        ).fetchone()
        assert found is not None
        namespace, version, landmark = found
        if version is None:
            if (landmark if self.relations else namespace) is None:
                return None
            what = f'table "{self.relations[0]}"' if self.relations else f'schema "{self.namespace}"'
            raise SetupError(
                f'database "{conn.info.dbname}" holds a {what} that is not ours (no {version_table}); '
                f"give another database in {self.setting}"
            )
        row = cursor.execute(f"select version_num from {version_table}").fetchone()  # noqa: S608  names are ours
        return None if row is None else str(row[0])

    def missing_relations(self, conn: psycopg.Connection[Any]) -> list[str]:
        """Those of `relations` that are not there."""
        cursor = conn.cursor(row_factory=tuple_row)
        rows = cursor.execute(
            "select name from unnest(%s::text[]) as name where to_regclass(%s || '.' || name) is null",
            (list(self.relations), self.namespace),
        )
        return [row[0] for row in rows]

    def require_current(self, conn: psycopg.Connection[Any]) -> None:
        """Raise SetupError, with the command that mends it, unless the schema is what this code was written for."""
        current, name = self.current(conn), conn.info.dbname
        missing = self.missing_relations(conn)
        if missing:
            relations = ", ".join(f'"{relation}"' for relation in missing)
            raise SetupError(f'database "{name}" ({self.setting}) has no relation {relations}; {MEND}')
        if current == self.head:
            return
        if current is None:
            raise SetupError(f'database "{name}" holds no {self.name} schema; {MEND}')
        self._require_known(current, name)
        raise SetupError(f'database "{name}" is at revision {current}, this code needs {self.head}; {MEND}')

    def _require_known(self, revision: str, name: str) -> None:
        if revision not in self.revisions:
            raise SetupError(
                f'database "{name}" is at revision {revision}, newer than this code ({self.head}); upgrade the code'
            )

    def upgrade(self, url: str) -> tuple[str | None, str]:
        """Bring the database at `url` to the newest revision; returns the revision before and after. Idempotent.

        Where a table was lost, all revisions are run again: those of a schema with `relations` make what is missing
        and leave what is there. Two upgrades at once wait for each other. `lock_timeout` keeps a migration from
        queueing behind a long transaction and blocking every reader behind itself. Raises SetupError when the
        database cannot be reached or locked, holds a schema that is not ours, or one of newer code.
        """
        import sqlalchemy  # here, because every command imports this module and these two take 0.5 s
        from alembic import command
        from alembic.config import Config

        engine = sqlalchemy.create_engine(
            sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
        )
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("select pg_advisory_lock(%s)", (self.lock,))
                connection.exec_driver_sql("set lock_timeout = '2s'")
                raw = connection.connection.driver_connection
                assert isinstance(raw, psycopg.Connection)
                before = self.current(raw)
                if before is not None:
                    self._require_known(before, raw.info.dbname)
                    if self.missing_relations(raw):
                        connection.exec_driver_sql(f"delete from {self.namespace}.{self.version_table}")  # noqa: S608
                if self.current(raw) != self.head:
                    connection.exec_driver_sql(f"create schema if not exists {self.namespace}")
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
