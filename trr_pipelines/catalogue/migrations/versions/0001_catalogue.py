"""The catalogue: entities, imports, photos, derivatives and the ledger."""

from trr_pipelines.catalogue.migrations.sql import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_beside(__file__)
