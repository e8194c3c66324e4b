"""Store: SQLite, the only SQL. Rows never leave it."""
