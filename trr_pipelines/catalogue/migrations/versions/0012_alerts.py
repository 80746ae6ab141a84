"""Alerts, and requests to do photos again with how they came out."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql_beside(__file__)
