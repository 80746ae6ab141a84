"""What people look at in galleries, and how long pictures take to reach them."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql_beside(__file__)
