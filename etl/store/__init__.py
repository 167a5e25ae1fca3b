"""The store: the local Neo4j (fetched, started, stopped) and the connection to any Neo4j. The driver is imported late: it is slow."""

from __future__ import annotations

from etl.store.connection import Store, connect
from etl.store.local import Server, start, status, stop

__all__ = ["Server", "Store", "connect", "start", "status", "stop"]
