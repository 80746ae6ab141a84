"""Who changed what, answers kept for repeated requests, and face-bank seeds with who set them."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql_beside(__file__)
