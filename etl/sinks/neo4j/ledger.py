"""Exactly once: every batch enters its number into the ledger in its own transaction, and after any doubt the ledger is read, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from etl.errors import Conflict, StoreError
from etl.store.connection import explained
from etl.store.queries import text

if TYPE_CHECKING:
    from neo4j import Session, Transaction

    from etl.store import Store

PATIENCE = 90.0  # seconds that a server may be gone before a load gives up
CLAIM_SECONDS = 5.0  # to wait for another load of the same name
T = TypeVar("T")


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


def transact(store: Store, work: Callable[[Transaction], T], stopping: Event | None = None) -> T:
    """Run `work` in a transaction of its own, persistently: it must be safe to run twice."""

    def attempt() -> T:
        with store.driver.session(database=store.database) as session, session.begin_transaction() as transaction:
            result = work(transaction)
            transaction.commit()
            return result

    with explained(store.uri):
        return persistently(attempt, stopping)


def rows(store: Store, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    """What a reading statement gives, one dict a row, persistently."""
    return transact(store, lambda transaction: transaction.run(statement, parameters).data())


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


class Lane:
    """One session's batches, numbered in order, and how many of them the store has."""

    def __init__(self, store: Store, model: str, number: int, done: int, stopping: Event) -> None:
        self.store, self.model, self.number, self.done, self.stopping = store, model, number, done, stopping
        self.next = 0

    def write(self, batch: int, statements: list[tuple[str, dict[str, Any], int]]) -> bool:
        """Write one batch, unless the ledger has it: each statement with its parameters and what it must create. False where it was there.

        Raises StoreError where the store created another number: nothing of the batch is kept then.
        """

        def work(transaction: Transaction) -> bool:
            row = transaction.run(text("load", "entry"), model=self.model, lane=self.number, batch=batch).single()
            if row is None or row["done"] < batch:
                raise StoreError(f"the ledger of {self.model} is gone: another program deleted it; load it again.")
            if row["done"] > batch:
                return False
            for statement, parameters, expected in statements:
                counters = transaction.run(statement, parameters).consume().counters
                created = counters.nodes_created + counters.relationships_created
                if created != expected:
                    raise StoreError(
                        f"{self.model}: {expected:,} rows were sent and {created:,} created: neurons are missing; delete it, then load again."
                    )
            return True

        written = transact(self.store, work, self.stopping)
        self.done = batch + 1
        return written
