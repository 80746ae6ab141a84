"""Alembic's environment and the revisions, each written in SQL beside a two-line Python file."""
