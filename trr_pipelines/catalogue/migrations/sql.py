"""Runs the SQL file of a revision."""

from trr_pipelines.schema_migrations import run_sql_beside

__all__ = ["run_sql_beside"]
