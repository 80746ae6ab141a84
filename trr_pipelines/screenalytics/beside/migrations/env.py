"""Alembic's entry: applies revisions over the connection that `migrating` hands in."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="version",
    version_table_schema="trr_face_bank",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
