"""Numbers of a crop are the middle of its frame; a link can have a crop of its own."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql_beside(__file__)
