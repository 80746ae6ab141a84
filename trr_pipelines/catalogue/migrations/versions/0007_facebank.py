"""Which people's seeds the face bank has not heard of, and which photos it must forget."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql_beside(__file__)
