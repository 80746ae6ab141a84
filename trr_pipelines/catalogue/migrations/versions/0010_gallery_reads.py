"""What a gallery page and the order of a backfill read."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql_beside(__file__)
