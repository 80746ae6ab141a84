"""Databases for single tests on the server that all tests share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from trr_pipelines.catalogue.embedded import EmbeddedPostgres

_numbers = itertools.count()


@contextmanager
def new_database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """Create a database; yields its URL. It is dropped after the block even if clients are still connected."""
    name = sql.Identifier(f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_numbers)}")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        # Copying the files takes 12 ms of CPU; the default, which also writes all pages to the log, takes 27.
        statement = sql.SQL("create database {} template {} strategy file_copy")
        conn.execute(statement.format(name, sql.Identifier(template)))
        yield postgres.url(name.as_string().strip('"'))
        conn.execute(sql.SQL("drop database {} with (force)").format(name))
