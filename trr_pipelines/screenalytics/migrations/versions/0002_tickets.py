"""Tickets of lists in place of locks of sessions; photos without link, hash or size."""

from trr_pipelines.schema_migrations import run_sql_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql_beside(__file__)
