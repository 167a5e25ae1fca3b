"""The connection to any Neo4j: the one that is named, else the local one, started if it isn't running."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from etl import errors

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, SummaryCounters

OLDEST = (5, 26)  # dynamic labels in MATCH, scoped subqueries
SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
log = logging.getLogger("etl")


@dataclass(frozen=True)
class Store:
    """A Neo4j that answered and let us in. One per process; drivers may be shared between threads, sessions not."""

    driver: Driver
    database: str
    uri: str
    browser: str | None  # the address of Neo4j Browser, where it is known
    version: tuple[int, ...]
    bolt: tuple[int, int]
    is_local: bool

    def read(self, query: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Run a reading statement in a transaction that is tried again after a passing fault; one dict per row."""

        def rows(transaction: ManagedTransaction) -> list[dict[str, Any]]:
            return [record.data() for record in transaction.run(query, parameters)]

        with explained(self.uri), self.driver.session(database=self.database) as session:
            return session.execute_read(rows)

    def write(self, query: str, /, **parameters: Any) -> SummaryCounters:
        """Run a writing statement in a transaction that is tried again after a passing fault: it must be safe to run twice."""

        def counters(transaction: ManagedTransaction) -> SummaryCounters:
            return transaction.run(query, parameters).consume().counters

        with explained(self.uri), self.driver.session(database=self.database) as session:
            return session.execute_write(counters)

    def close(self) -> None:
        """Close the connections; a local server keeps running."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    uri: str | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
) -> Store:
    """Connect to `uri`, else to NEO4J_URI, else to the local Neo4j, which is started if need be.

    What isn't given comes from NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE; the local Neo4j knows its own.
    Raises StoreError: no answer, wrong password, no such database, too old. FetchError: the local one can't be fetched or started.
    """
    uri = uri or os.environ.get("NEO4J_URI") or None
    database = database or os.environ.get("NEO4J_DATABASE") or None
    if uri is None:
        return _connect_local(progress, database)
    _check_address(uri)
    username = username or os.environ.get("NEO4J_USERNAME") or "neo4j"
    password = password or os.environ.get("NEO4J_PASSWORD") or None
    return _open(uri, (username, password) if password else None, database, browser=None, is_local=False)


def _connect_local(progress: Callable[[str], None] | None, database: str | None) -> Store:
    from neo4j.exceptions import AuthError

    from etl.store.local import server as local

    server = local.start(progress)
    assert server.uri is not None
    try:
        return _open(server.uri, (server.username, local.password(server)), database, server.browser, is_local=True)
    except errors.StoreError as error:
        if isinstance(error.__cause__, AuthError):
            raise errors.StoreError(local.refused(server)) from error
        raise


def _open(uri: str, auth: tuple[str, str] | None, database: str | None, browser: str | None, *, is_local: bool) -> Store:
    """Log in, look at the version, then ask for the database's name."""
    import neo4j

    with explained(uri):
        driver = neo4j.GraphDatabase.driver(
            uri, auth=auth, notifications_min_severity="OFF", telemetry_disabled=True, user_agent="neuron-etl", connection_timeout=15
        )
    try:
        with explained(uri):
            server = driver.get_server_info()
            version = _supported(server.agent, uri)
            name = driver.execute_query("RETURN 1", database_=database).summary.database
    except BaseException:
        driver.close()
        raise
    bolt = (int(server.protocol_version[0]), int(server.protocol_version[1]))
    return Store(driver, str(name), uri, browser, version, bolt, is_local)


def _supported(agent: str, uri: str) -> tuple[int, ...]:
    """`Neo4j/5.26.30` -> (5, 26, 30)."""
    digits = agent.rpartition("/")[2].partition("-")[0].partition("+")[0]
    version = tuple(int(part) for part in digits.split(".") if part.isdigit())
    if version < OLDEST:
        raise errors.StoreError(f"{uri} runs {agent}: 5.26 or later is needed; upgrade it, or leave out NEO4J_URI to use the local Neo4j.")
    return version


def _check_address(uri: str) -> None:
    """Refuse what the driver can't use or what holds a password; warn where one would travel in the clear."""
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in SCHEMES and parts.hostname and (parts.port is None or parts.port)
    except ValueError:  # a port or an IPv6 address that is none
        usable = False
    if not usable:
        given = "the address of Neo4j" if "@" in uri else uri  # there may be a password before the @
        raise errors.StoreError(f"{given} must look like neo4j+s://host:7687 (schemes: {', '.join(SCHEMES)}): correct NEO4J_URI or --uri.")
    if parts.username or parts.password:
        raise errors.StoreError("the address of Neo4j must hold no user or password: put them into NEO4J_USERNAME and NEO4J_PASSWORD.")
    if parts.scheme in ("neo4j", "bolt") and not _is_loopback(parts.hostname or ""):
        log.warning("%s is not encrypted: the password and all data can be read on the way; use %s+s:// instead.", uri, parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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

    code, said = getattr(error, "code", None) or "", str(error)
    silent = isinstance(error, exceptions.ServiceUnavailable | exceptions.SessionExpired | OSError)
    # before 5.7 the driver stumbles over the notifications that we switch off, before we see the version
    old = isinstance(error, exceptions.UnsupportedServerProduct) or "Notification filtering" in said
    known = (
        (isinstance(error, exceptions.AuthError), "refuses the user or the password: set NEO4J_USERNAME and NEO4J_PASSWORD."),
        (code.endswith("DatabaseNotFound"), "has no such database: set NEO4J_DATABASE, or leave it out for the user's own."),
        (code.endswith("DatabaseUnavailable"), "has the database, but not online: look into Neo4j's log."),
        (code.endswith("Forbidden"), f"does not allow this user to do that: {_line(error)}"),
        ("TransactionLogError" in code or "needs to be restarted" in said, "can't write any more: make room on its disk, then stop and start it."),
        ("OutOfMemory" in code, f"has not enough memory for that: {_line(error)}"),
        (old, "is no Neo4j that this program can talk to: 5.26 or later is needed."),
        ("looks like HTTP" in said, "is Neo4j's HTTP port: take the one for Bolt (7687, where nothing else was set)."),
        (
            silent and "SSL" in said,
            "can't be trusted over TLS: check its certificate (+ssc takes a self-signed one, no +s encrypts nothing).",
        ),
        (silent, _to_reach(uri) if silent else ""),
    )
    return f"{uri} {next((message for applies, message in known if applies), f'answers: {_line(error)}')}"


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
