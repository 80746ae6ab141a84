"""One place that says which work somebody waits for."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql_beside(__file__)
