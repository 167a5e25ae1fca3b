"""Sessions that write at the same time, each its own batches in order, while the next ones are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Queue
from threading import Event, Lock, Thread
from typing import Any, Self

from etl.sinks.neo4j.ledger import Writer
from etl.store.transactions import Store

AHEAD = 2  # batches made while one is written: what bounds the memory
Statements = list[tuple[str, dict[str, Any], int]]  # with parameters, and how many nodes and relationships it creates


@dataclass(frozen=True)
class Job:
    """One transaction: whose turn it is, how many rows it has, and how to make its statements."""

    session: int
    rows: int
    make: Callable[[], Statements]


class Writers:
    """Threads with a session each. Leaving the context waits for the batches that are being written, and for no more after an exception."""

    def __init__(self, store: Store, model: str, done: Sequence[int]) -> None:
        self.stopping = Event()
        self.writers = [Writer(store, model, number, count, self.stopping) for number, count in enumerate(done)]
        self.queues: list[Queue[tuple[int, Job, Statements] | None]] = [Queue(AHEAD) for _ in done]
        self.threads = [Thread(target=self.serve, args=pair, daemon=True) for pair in zip(self.writers, self.queues, strict=True)]
        self.failures: list[BaseException] = []
        self.tell: Callable[[int], None] = lambda _: None
        self.written = 0
        self.lock = Lock()

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.stopping.set()
        for queue in self.queues:
            queue.put(None)
        for thread in self.threads:
            thread.join()

    def write(self, jobs: Iterable[Job | None], tell: Callable[[int], None]) -> None:
        """Write all batches and wait for them; those that the ledger has are not made. None among them: wait for what is under way.

        tell  is called with the number of rows in the store after each batch
        """
        self.tell, self.written = tell, 0
        for job in jobs:
            if job is None:
                self.wait()
                continue
            writer = self.writers[job.session]
            number, writer.next = writer.next, writer.next + 1
            if number < writer.done:
                self.count(job)
            else:
                self.queues[job.session].put((number, job, job.make()))
            self.check()
        self.wait()

    def wait(self) -> None:
        for queue in self.queues:
            queue.join()
        self.check()

    def check(self) -> None:
        if self.failures:
            raise self.failures[0]

    def count(self, job: Job) -> None:
        with self.lock:
            self.written += job.rows
            self.tell(self.written)

    def serve(self, writer: Writer, queue: Queue[tuple[int, Job, Statements] | None]) -> None:
        """Write what comes; after a failure, of whichever session, only empty the queue."""
        while (item := queue.get()) is not None:
            number, job, statements = item
            try:
                if not self.stopping.is_set():
                    writer.write(number, statements)
                    self.count(job)
            except BaseException as error:  # the main thread raises it
                self.failures.append(error)
                self.stopping.set()
            finally:
                queue.task_done()
