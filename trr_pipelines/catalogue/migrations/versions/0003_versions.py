"""Every original that a photo ever had."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql_beside(__file__)
