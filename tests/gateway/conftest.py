"""What the gateway's tests share."""

from tests.support.database import database, database_url, postgres_server

__all__ = ["database", "database_url", "postgres_server"]
