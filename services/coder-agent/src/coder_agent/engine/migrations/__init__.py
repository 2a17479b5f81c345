"""The engine's tables, step by step. One Alembic revision a file; `kitty_core.database.migrate` runs them."""
