"""Exactly once: every batch enters its number into the ledger in its own transaction, and after any doubt the ledger is read, not guessed."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

from cypher import text
from etl.errors import StoreError
from etl.store.transactions import Store

if TYPE_CHECKING:
    from neo4j import Transaction


class Writer:
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

        written = self.store.transact(work, stopping=self.stopping)
        self.done = batch + 1
        return written
