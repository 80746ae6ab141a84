"""Backfills, the lane of a batch, and how fast runs rendered."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql_beside(__file__)
