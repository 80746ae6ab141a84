"""Retention: what is listed for removal."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql_beside(__file__)
