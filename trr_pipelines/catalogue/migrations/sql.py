"""Runs the SQL file that stands beside a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run_sql_beside(revision_file: str) -> None:
    """Execute the `.sql` file of the same name as the revision, as one script."""
    script = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script)
