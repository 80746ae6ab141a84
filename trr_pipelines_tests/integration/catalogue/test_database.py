"""Transactions on a real database: retried after errors of the server or conflicts, and only then."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from trr_pipelines.catalogue.database import Connection, Database, LockHeldError
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


# Locks --------------------------------------------------------------------------------------------------------------


def test_a_lock_of_an_idle_transaction_is_named_and_not_waited_for_without_end(
    counters: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    patient = Database(database_url, retry_seconds=5).open()
    with psycopg.connect(database_url, application_name="psql of an operator") as idle:
        idle.execute("lock table counters in access exclusive mode")
        began = time.monotonic()
        with pytest.raises(LockHeldError) as raised:
            query(patient, "select * from counters")
        assert time.monotonic() - began < 15
        pid = idle.info.backend_pid
        for text in (str(raised.value), caplog.text):
            assert f"process {pid} (psql of an operator, user postgres) holds it, idle in transaction for" in text
            assert f"select pg_terminate_backend({pid})" in text
    assert query(patient, "select count from counters where id = 1") == [{"count": 0}]
    patient.close()


def test_a_lock_that_is_released_in_time_is_waited_for(counters: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as idle:
        idle.execute("lock table counters in access exclusive mode")
        threading.Timer(3, idle.rollback).start()
        assert len(query(counters, "select * from counters")) == 2
