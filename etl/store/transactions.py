"""Transactions: every statement runs in one that is tried again while faults may pass; and a model's name, held by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cypher import text
from etl.errors import Conflict
from etl.store.driver_errors import explained

if TYPE_CHECKING:
    from neo4j import Driver, Session, SummaryCounters, Transaction

PATIENCE = 90.0  # seconds that a server may be gone before we give up: a restart takes some
CLAIM_SECONDS = 5.0  # to wait for another load of the same name
T = TypeVar("T")


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

    def transact(self, work: Callable[[Transaction], T], *, writes: bool = True, stopping: Event | None = None) -> T:
        """What `work` returns, run in a transaction of its own that is tried again after a passing fault: it must be safe to run twice.

        writes    whether it may; the server refuses it otherwise
        stopping  when it is set, nothing is tried again
        Raises StoreError where the store fails for good, or for longer than PATIENCE.
        """
        from neo4j import READ_ACCESS, WRITE_ACCESS

        access = WRITE_ACCESS if writes else READ_ACCESS

        def attempt() -> T:
            with self.driver.session(database=self.database, default_access_mode=access) as session, session.begin_transaction() as transaction:
                result = work(transaction)
                transaction.commit()
                return result

        with explained(self.uri):
            return persistently(attempt, stopping)

    def read(self, statement: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a reading statement, one dict a row. Raises StoreError as `transact` does."""
        return self.transact(lambda transaction: transaction.run(statement, parameters).data(), writes=False)

    def write(self, statement: str, /, **parameters: Any) -> SummaryCounters:
        """Run a writing statement, which must be safe to run twice: what it created and deleted. Raises StoreError as `transact` does."""
        return self.transact(lambda transaction: transaction.run(statement, parameters).consume().counters)

    def close(self) -> None:
        """Close the connections; a local server keeps running."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def passing(error: BaseException) -> bool:
    """Whether the same transaction may work when it is tried again. Only for those that look first whether they are done."""
    from neo4j.exceptions import DriverError, IncompleteCommit, Neo4jError

    if isinstance(error, DriverError | Neo4jError):
        return error.is_retryable() or isinstance(error, IncompleteCommit)
    return isinstance(error, OSError)


def persistently(attempt: Callable[[], T], stopping: Event | None = None) -> T:
    """The result of a transaction that is safe to run twice, tried again while faults may pass and nobody says stop."""
    from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_delay, stop_when_event_set, wait_exponential, wait_random

    event = stopping or Event()
    return Retrying(
        retry=retry_if_exception(passing),
        stop=stop_after_delay(PATIENCE) | stop_when_event_set(event),
        sleep=sleep_using_event(event),
        wait=wait_exponential(0.05, max=2.0) + wait_random(0, 0.1),
        reraise=True,
    )(attempt)


@contextmanager
def claimed(store: Store, name: str) -> Iterator[None]:
    """Hold a model's name: nobody else loads or deletes it meanwhile. The server lets go of it as soon as this process ends, in whatever way.

    Raises Conflict where another process holds it and doesn't let go within a few seconds.
    """
    from neo4j.exceptions import DriverError, Neo4jError

    claim = text("load", "claim")
    session = store.driver.session(database=store.database)
    try:
        with explained(store.uri):
            persistently(lambda: probe(session, name))
            held = session.begin_transaction()
            held.run(claim, claim=f"\0{name}").consume()
        yield
    finally:
        try:  # noqa: SIM105
            session.close()  # rolls back: there is nothing to keep
        except (DriverError, Neo4jError, OSError):
            pass  # the server is gone, and the claim with it


def probe(session: Session, name: str) -> None:
    """Claim a name and let go at once: with a bound on the time, which the claim itself can't have."""
    from neo4j.exceptions import Neo4jError

    try:
        with session.begin_transaction(timeout=CLAIM_SECONDS) as transaction:
            transaction.run(text("load", "claim"), claim=f"\0{name}").consume()
            transaction.rollback()
    except Neo4jError as error:
        if any(sign in (error.code or "") for sign in ("TimedOut", "Terminated", "LockClientStopped", "LockAcquisitionTimeout")):
            raise Conflict(f"{name} is being loaded or deleted by another process: wait until it has ended, then try again.") from error
        raise
