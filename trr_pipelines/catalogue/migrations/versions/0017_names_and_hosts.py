"""Names are compared by a normal form, and the hosts of sources have their waits."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql_beside(__file__)
