"""Transactions: every statement runs in one that is tried again while faults may pass; and a model's name, held by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cypher import text
from etl.errors import Conflict
from etl.store.driver_errors import explained

if TYPE_CHECKING:
    from neo4j import Driver, Session, SummaryCounters, Transaction

PATIENCE = 90.0  # seconds that a server may be gone before we give up: a restart takes some
CLAIM_SECONDS = 5.0  # to wait for another load of the same name
REVIVALS = 3  # of a server that dies again and again of the same transaction
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
    revive: Callable[[], bool] = lambda: False  # starts a local server again that has died; True where another process answers than before
    claims: list[Claim] = field(default_factory=list, compare=False)

    def transact(self, work: Callable[[Transaction], T], *, writes: bool = True, stopping: Event | None = None) -> T:
        """What `work` returns, run in a transaction of its own that is tried again after a passing fault: it must be safe to run twice.

        writes    whether it may; the server refuses it otherwise
        stopping  when it is set, nothing is tried again
        A local server that died is started again while a name is claimed: a load goes on, a query that may have been too much for it does not.
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
            return persistently(attempt, stopping, self.recover if self.claims else lambda: False)

    def recover(self) -> bool:
        """See that a local server runs, and hold all claims again where it is a new process. True if so."""
        if not self.revive():
            return False
        for claim in self.claims:
            claim.take()
        return True

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


def persistently(attempt: Callable[[], T], stopping: Event | None = None, recover: Callable[[], bool] = lambda: False) -> T:
    """The result of a transaction that is safe to run twice, tried again while faults may pass and nobody says stop.

    recover  is called after each fault; True: the server is a new one, and gets as much patience as the one before
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event, wait_exponential, wait_random

    event, deadline, revivals = stopping or Event(), monotonic() + PATIENCE, 0

    def mend(_: RetryCallState) -> None:
        nonlocal deadline, revivals
        if revivals < REVIVALS and recover():
            deadline, revivals = monotonic() + PATIENCE, revivals + 1

    def tired(_: RetryCallState) -> bool:
        return monotonic() > deadline or event.is_set()

    return Retrying(
        retry=retry_if_exception(passing),
        stop=tired,
        sleep=sleep_using_event(event),
        wait=wait_exponential(0.05, max=2.0) + wait_random(0, 0.1),
        before_sleep=mend,
        reraise=True,
    )(attempt)


class Claim:
    """A model's name, held in a transaction of its own, which the server rolls back as soon as this process ends, in whatever way."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.session: Session | None = None

    def take(self) -> None:
        """Hold the name. Raises Conflict where another process holds it and doesn't let go within a few seconds."""
        self.release()
        session = self.session = self.store.driver.session(database=self.store.database)
        with explained(self.store.uri):
            persistently(lambda: probe(session, self.name))
            session.begin_transaction().run(text("load", "claim"), claim=f"\0{self.name}").consume()

    def release(self) -> None:
        """Let go of it."""
        from neo4j.exceptions import DriverError, Neo4jError

        if self.session is not None:
            with suppress(DriverError, Neo4jError, OSError):  # the server is gone, and the claim with it
                self.session.close()  # rolls back: there is nothing to keep
            self.session = None


@contextmanager
def claimed(store: Store, name: str) -> Iterator[None]:
    """Hold a model's name: nobody else loads or deletes it meanwhile. A local server that dies is started again, and the name held there.

    Raises Conflict where another process holds it.
    """
    claim = Claim(store, name)
    try:
        claim.take()
        store.claims.append(claim)
        yield
    finally:
        if claim in store.claims:
            store.claims.remove(claim)
        claim.release()


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
