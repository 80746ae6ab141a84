"""Transactions on a real database: retried after errors of the server or conflicts, and only then."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines_tests.support.archives import query, value


@pytest.fixture
def counters(database: Database) -> Database:
    query(database, "create table counters (id integer primary key, count integer not null)")
    query(database, "insert into counters values (1, 0), (2, 0)")
    return database


def test_a_terminated_connection_is_retried(counters: Database) -> None:
    tries = []

    def work(conn: Connection) -> None:
        tries.append(conn.info.backend_pid)
        conn.execute("update counters set count = count + 1 where id = 1")
        if len(tries) == 1:
            query(counters, "select pg_terminate_backend(%s)", conn.info.backend_pid)
            conn.execute("select 1")

    counters.run(work)
    assert len(tries) == 2
    assert value(counters, "select count from counters where id = 1") == 1


def test_a_deadlock_is_retried(counters: Database) -> None:
    together = threading.Barrier(2)
    tries: list[int] = []

    def work(conn: Connection, first: int, second: int) -> None:
        tries.append(first)
        conn.execute("update counters set count = count + 1 where id = %s", (first,))
        if tries.count(first) == 1:
            together.wait(10)
        conn.execute("update counters set count = count + 1 where id = %s", (second,))

    with ThreadPoolExecutor(2) as threads:
        orders = [(1, 2), (2, 1)]
        list(threads.map(lambda order: counters.run(lambda conn: work(conn, *order)), orders))
    assert len(tries) == 3
    assert [row["count"] for row in query(counters, "select count from counters")] == [2, 2]


def test_a_serialisation_failure_is_retried(counters: Database) -> None:
    tries = []

    def work(conn: Connection) -> None:
        conn.execute("set transaction isolation level repeatable read")
        tries.append(conn.execute("select count from counters where id = 1").fetchone())
        if len(tries) == 1:
            query(counters, "update counters set count = 10 where id = 1")
        conn.execute("update counters set count = count + 1 where id = 1")

    counters.run(work)
    assert len(tries) == 2
    assert value(counters, "select count from counters where id = 1") == 11


@pytest.mark.parametrize(
    "statement",
    ["insert into counters values (1, 0)", "select 1/0", "select nonsense", "select chr(0)"],
)
def test_permanent_errors_are_not_retried(counters: Database, statement: str) -> None:
    tries = []

    def work(conn: Connection) -> None:
        tries.append(1)
        conn.execute(statement)  # type: ignore[call-overload]  the test's own SQL

    with pytest.raises(psycopg.Error):
        counters.run(work)
    assert len(tries) == 1


def test_any_exception_rolls_back(counters: Database) -> None:
    def work(conn: Connection) -> None:
        conn.execute("update counters set count = 5")
        raise LookupError

    with pytest.raises(LookupError):
        counters.run(work)
    assert value(counters, "select sum(count) from counters") == 0
