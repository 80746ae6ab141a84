"""Alembic's entry point: runs revisions over the connection passed by `schema_migrations`."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="core",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
