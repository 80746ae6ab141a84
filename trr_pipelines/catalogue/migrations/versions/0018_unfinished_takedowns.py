"""Takedowns are worked off until nothing is left; the catalogue knows whether it is older than its store."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql_beside(__file__)
