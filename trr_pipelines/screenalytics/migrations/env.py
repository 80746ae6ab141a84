"""Alembic's entry: applies revisions over the connection that `migrating` hands in."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="face_bank_version",
    version_table_schema="public",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
