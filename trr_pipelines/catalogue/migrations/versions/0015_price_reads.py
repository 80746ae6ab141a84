"""Asking what would be done again costs what matches, not what exists."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql_beside(__file__)
