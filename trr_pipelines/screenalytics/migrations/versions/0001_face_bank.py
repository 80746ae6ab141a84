"""The face bank: people, their photos, and whom a photo does not show."""

from trr_pipelines.schema_migrations import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_beside(__file__)
