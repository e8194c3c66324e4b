"""Alembic's entry: it runs the migrations on the connection that ``run.upgrade`` made. This module is called by it."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
