"""Work that somebody asked for again, and what was taken down for good."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql_beside(__file__)
