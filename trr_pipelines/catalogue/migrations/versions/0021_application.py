"""The archive of the application, as the bridge last read it, and what it published there."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql_beside(__file__)
