"""The primary photo of a gallery, and the order in which Screenalytics reads a person's photos."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_sql_beside(__file__)
