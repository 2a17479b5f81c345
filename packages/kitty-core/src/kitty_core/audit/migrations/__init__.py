"""The tables of the audit trail, one Alembic revision a file. `kitty_core.database.migrate` runs them."""
