"""Alembic's environment and the revisions, each an SQL file with a short Python file beside it."""
