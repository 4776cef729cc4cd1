"""The gateway's database: SQLAlchemy Core over SQLite or PostgreSQL, one module a concern."""
