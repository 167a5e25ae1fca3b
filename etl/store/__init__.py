"""The store: the local Neo4j (fetched, started, stopped) and the connection to any Neo4j. The driver is imported late: it is slow."""

from __future__ import annotations

import logging

from etl.store.connection import connect
from etl.store.local.server import Server, status
from etl.store.local.startup import start, stop
from etl.store.transactions import Store

logging.getLogger("neo4j").addHandler(logging.NullHandler())  # else Python prints the driver's own warnings of each new try

__all__ = ["Server", "Store", "connect", "start", "status", "stop"]
