"""What the driver raises, in one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from etl import errors


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what the driver raises into a StoreError of one line. Everybody who uses the driver directly wraps it in this."""
    from neo4j.exceptions import DriverError, Neo4jError

    try:
        yield
    except (DriverError, Neo4jError, OSError) as error:
        raise errors.StoreError(_message(error, uri)) from error


def _message(error: Exception, uri: str) -> str:
    from neo4j import exceptions

    code, message = getattr(error, "code", None) or "", str(error)
    silent = isinstance(error, exceptions.ServiceUnavailable | exceptions.SessionExpired | OSError)
    # before 5.7 the driver stumbles over the notifications that we switch off, before we see the version
    old = isinstance(error, exceptions.UnsupportedServerProduct) or "Notification filtering" in message
    known = (
        (isinstance(error, exceptions.AuthError), "refuses the user or the password: set NEO4J_USERNAME and NEO4J_PASSWORD."),
        (code.endswith("DatabaseNotFound"), "has no such database: set NEO4J_DATABASE, or leave it out for the user's own."),
        (code.endswith("DatabaseUnavailable"), "has the database, but not online: look into Neo4j's log."),
        (code.endswith("Forbidden"), f"does not allow this user to do that: {_line(error)}"),
        ("TransactionLogError" in code or "needs to be restarted" in message, "can't write any more: make room on its disk, then stop and start it."),
        ("OutOfMemory" in code, f"has not enough memory for that: {_line(error)}"),
        (old, "is no Neo4j that this program can talk to: 5.26 or later is needed."),
        ("looks like HTTP" in message, "is Neo4j's HTTP port: take the one for Bolt (7687, where nothing else was set)."),
        (
            silent and "SSL" in message,
            "can't be trusted over TLS: check its certificate (+ssc takes a self-signed one, no +s encrypts nothing).",
        ),
        (silent, _to_reach(uri) if silent else ""),
    )
    return f"{uri} {next((words for applies, words in known if applies), f'answers: {_line(error)}')}"


def _to_reach(uri: str) -> str:
    """What to do where nobody answers."""
    from etl.store.local import server as local

    if uri == local.status().uri:
        return "does not answer any more: give the same command again, which starts the local Neo4j where it has ended."
    return "does not answer: start Neo4j there, correct NEO4J_URI, or leave it out to use the local Neo4j."


def _line(error: Exception) -> str:
    """The first line of what the server or the driver says."""
    from neo4j.exceptions import Neo4jError

    text = (error.message if isinstance(error, Neo4jError) else None) or str(error) or type(error).__name__
    return text.strip().splitlines()[0]
