"""What we keep beside the application's table of faces."""

from trr_pipelines.schema_migrations import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_beside(__file__)
