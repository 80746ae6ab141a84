"""Originals of another program, read where they are, in a bucket that may be shared with it."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql_beside(__file__)
