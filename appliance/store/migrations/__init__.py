"""Alembic migrations, run at start after a copy of the database."""
