"""What galleries are read from: links with their photo, its crop and its state, in the order of a page."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql_beside(__file__)
