"""Predicates that several queries share are defined once."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql_beside(__file__)
