"""The history of how the archive delivers, and an index for what is open or failed."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql_beside(__file__)
