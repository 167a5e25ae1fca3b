"""Loading a graph into any Neo4j over Bolt: exactly once, whatever dies, and as fast as the server takes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from cypher import text
from etl.errors import Conflict, StoreError
from etl.graph.protocol import Graph
from etl.graph.rows import Row
from etl.sinks.neo4j import checks
from etl.sinks.neo4j.parameters import Packer
from etl.sinks.neo4j.sessions import Job, Writers
from etl.sinks.neo4j.write_batches import batches
from etl.sinks.protocol import Progress, Written, silent
from etl.store import models as catalogue
from etl.store.driver_errors import explained
from etl.store.transactions import Store, claimed
from etl.streams import batched_by_size
from etl.version import VERSION

if TYPE_CHECKING:
    from neo4j import Transaction

SESSIONS = 2  # sessions that write at the same time
NEURONS, EDGES = 10_000, 10_000  # of a batch: one transaction; larger ones only give the garbage collector more to do
PLAN = f"1: {SESSIONS} lanes, {NEURONS} neurons, {EDGES} edges"  # a ledger only counts: it fits batches that are cut in the same way
IMPORTED = "import"  # the ledger's plan where all rows came through the import tool: only the checks are left
RENAMED = 200_000  # neurons whose model can be renamed in one transaction


@dataclass(frozen=True)
class Loaded(Written):
    """How a load ended.

    outcome  `loaded`, `resumed` (begun by an earlier run), `replaced`, or `unchanged` (it was there)
    base     the first neuron's id
    """

    name: str
    outcome: str
    base: int
    seconds: float


@dataclass(frozen=True)
class Live:
    """A name in a store that is written to over Bolt. replace: in place of another model of that name."""

    store: Store
    name: str
    replace: bool = False

    def write(self, graph: Graph, progress: Progress = silent) -> Loaded:
        """As `load`, which says what is raised."""
        return load(graph, self.store, self.name, replace=self.replace, progress=progress)


def load(graph: Graph, store: Store, name: str, *, replace: bool = False, progress: Progress = silent) -> Loaded:
    """Load a graph as the model `name`; what an earlier, interrupted run has loaded is kept.

    progress  is called with what is written (`neurons`, `weights`, `outputs`, `checks`), how many of it are in the store, and of how many
    Raises Conflict where another model has the name (unless `replace`) or another process is loading it, StoreError where the store fails for good:
    the same call goes on then. KeyboardInterrupt ends it between two batches.
    """
    started = monotonic()
    prepare(store)
    with claimed(store, name):
        stored = catalogue.find(store, name)
        mark = fingerprint(graph)
        if stored is not None and stored["state"] == "COMPLETE" and stored["fingerprint"] == mark:
            catalogue.sweep(store, name)
            return Loaded(graph.neurons, graph.edges, name, "unchanged", stored["base"], monotonic() - started)
        if stored is not None and stored["fingerprint"] != mark and not replace:
            raise Conflict(f"the store has another model named {name}: choose another --name, or put this one in its place with --replace.")
        beside = stored is not None and stored["state"] == "COMPLETE"
        model, outcome = begin(graph, store, name, mark, beside)
        write(graph, store, model, progress)
        if beside:
            swap(store, model["name"], name, graph.neurons)
            catalogue.sweep(store, name, progress)
        else:
            complete(store, name)
    return Loaded(graph.neurons, graph.edges, name, "replaced" if beside else outcome, model["base"], monotonic() - started)


def finish(graph: Graph, store: Store, name: str, base: int, progress: Progress) -> None:
    """The end of a load whose rows were imported, with ids from `base`. Raises Conflict and StoreError as `load` does."""
    prepare(store)
    with claimed(store, name):
        write(graph, store, {"name": name, "base": base, "plan": IMPORTED}, progress)
        complete(store, name)


def complete(store: Store, name: str) -> None:
    """All of the model is there: it is COMPLETE, and its ledger goes."""
    store.transact(lambda transaction: transaction.run(text("load", "complete"), model=name).consume())


def prepare(store: Store) -> None:
    """Constraints, each in a transaction of its own."""
    for statement in text("load", "constraints").split(";"):
        store.transact(lambda transaction, statement=statement: transaction.run(statement).consume())  # type: ignore[misc]


def fingerprint(graph: Graph) -> str:
    """What tells graphs apart: the file, and what the options made of it."""
    rows = [[*vars(row).values()] for row in graph.rows]
    selected = [] if graph.selection is None else [graph.selection]  # two sieves may leave as many edges in every layer
    known = hashlib.sha256(json.dumps([graph.model.sha256, rows, *selected]).encode())
    for ids in graph.outputs:
        known.update(ids.tobytes())
    return known.hexdigest()


def begin(graph: Graph, store: Store, name: str, mark: str, beside: bool) -> tuple[dict[str, Any], str]:
    """The Model node to load into, LOADING: one that an earlier run began and that fits, else a new one; remains that don't fit are deleted."""
    fitting = None
    for begun in catalogue.unfinished(store, name):
        if fitting is None and begun["fingerprint"] == mark and begun["plan"] in (PLAN, IMPORTED) and (begun["temporary"] is not None) == beside:
            fitting = begun
        else:
            catalogue.erase(store, begun["name"])
    if fitting is not None:
        return fitting, "resumed"
    return store.transact(lambda transaction: create(transaction, graph, name, mark, beside)), "loaded"


def create(transaction: Transaction, graph: Graph, name: str, mark: str, beside: bool) -> dict[str, Any]:
    """Create the Model node, its ledger and its layers; safe to run twice."""
    unfinished = transaction.run(text("load", "unfinished"), name=name).data()
    if unfinished:  # a first attempt came through after all
        return dict(unfinished[0])
    transaction.run(text("load", "claim"), claim="\0").consume()  # one after the other: two models must not get the same ids
    base = transaction.run(text("load", "free")).single(strict=True)["base"]
    model = model_properties(graph, f"{name}~{base}" if beside else name, mark, base) | ({"temporary": name} if beside else {})
    ledger = [{"lane": session, "done": 0, "plan": PLAN} for session in range(SESSIONS)]
    transaction.run(text("load", "model"), model=model, ledger=ledger, claim="\0").consume()
    layers = [layer_properties(row, model["name"], base) for row in graph.rows]
    feeds = [[key(model["name"], source), key(model["name"], row.name)] for row in graph.rows for source in row.inputs]
    transaction.run(text("load", "layers"), model=model["name"], layers=layers, feeds=feeds).consume()
    return {"name": model["name"], "base": base, "done": [0] * SESSIONS}


def model_properties(graph: Graph, name: str, mark: str, base: int) -> dict[str, Any]:
    return {
        "name": name,
        "sha256": graph.model.sha256,
        "fingerprint": mark,
        "format": graph.model.format,
        "version": graph.model.version,
        "selection": graph.selection,
        "state": "LOADING",
        "base": base,
        "neurons": graph.neurons,
        "edges": graph.edges,
        "parameters": graph.parameters,
        "inputs": [source.name for source in graph.inputs],
        "outputs": list(graph.output_names),
        "outputSizes": [ids.size for ids in graph.outputs],
        "etlVersion": VERSION,
    }


def layer_properties(row: Row, model: str, base: int) -> dict[str, Any]:
    return {
        "key": key(model, row.name),
        "model": model,
        "name": row.name,
        "type": row.type,
        "position": row.position,
        "begin": row.begin + base,
        "end": row.end + base,
        "shape": list(row.shape),
        "axes": row.axes,
        "activation": row.activation,
        "parameters": row.parameters,
        "edges": row.edges,
    }


def key(model: str, layer: str) -> str:
    """What tells a store's layers apart: the first / ends the model's name."""
    return f"{model.replace('%', '%25').replace('/', '%2F')}/{layer}"


def write(graph: Graph, store: Store, model: dict[str, Any], progress: Progress) -> None:
    """Neurons, then weights, then what the model returns, unless all of them were imported; then all of it is read back."""
    packer = Packer(store, model["base"], graph.dtype)
    try:
        if model.get("plan") != IMPORTED:
            with Writers(store, model["name"], model["done"]) as writers:
                writers.write(neuron_jobs(graph, packer, model["name"]), lambda done: progress("neurons", done, graph.neurons))
                writers.write(weight_jobs(graph, packer), lambda done: progress("weights", done, graph.edges))
                writers.write(output_jobs(graph, packer, model["name"]), lambda _: None)
        checks.check(store, graph, model["name"], model["base"], progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{model['name']} is loaded in part: the same command goes on with it.") from None
    except StoreError as error:
        if error.__cause__ is None:
            raise
        raise StoreError(f"{error} {model['name']} is loaded in part: the same command goes on with it.") from error.__cause__


def neuron_jobs(graph: Graph, packer: Packer, model: str) -> Iterator[Job]:
    """Neurons, small layers together, dealt to the sessions in turn."""
    statement = packer.statement(text("load", "neurons"))
    parts = (packer.neurons(block) for block in graph.neuron_blocks(NEURONS))
    for number, batch in enumerate(batched_by_size(parts, lambda part: part["count"], NEURONS)):
        count = sum(part["count"] for part in batch)
        yield Job(number % SESSIONS, count, lambda batch=batch, count=count: [(statement, {"model": model, "parts": batch}, count)])  # type: ignore[misc]


def weight_jobs(graph: Graph, packer: Packer) -> Iterator[Job | None]:
    """Weights, in batches whose order and cut are always the same."""
    windows, columns = packer.statement(text("load", "windows")), packer.statement(text("load", "weights"))
    for batch in batches(graph.blocks(checks.BLOCK), SESSIONS, EDGES):
        if batch is None:
            yield None
            continue

        def make(blocks: list[Any] = batch.blocks) -> list[tuple[str, dict[str, Any], int]]:
            statements = []
            for statement, parameters, chosen in (
                (windows, packer.windows, [block for block in blocks if block.shares]),
                (columns, packer.columns, [block for block in blocks if not block.shares]),
            ):
                if edges := sum(block.edges for block in chosen):
                    statements.append((statement, parameters(chosen), edges))
            return statements

        yield Job(batch.session, sum(block.edges for block in batch.blocks), make)


def output_jobs(graph: Graph, packer: Packer, model: str) -> Iterator[Job]:
    """What the model returns."""
    statement = packer.statement(text("load", "outputs"))
    for part, count in packer.outputs(graph.outputs):
        yield Job(0, count, lambda part=part, count=count: [(statement, {"model": model, "parts": [part]}, count)])  # type: ignore[misc]


def swap(store: Store, new: str, name: str, neurons: int) -> None:
    """Put a model that was loaded beside into the place of the one that has the name, in one transaction. Safe to run twice."""
    if neurons > RENAMED:  # too many for one transaction: their names come first, in small ones
        with explained(store.uri), store.driver.session(database=store.database) as session:
            session.run(text("load", "rename_many"), new=new, name=name).consume()

    def work(transaction: Transaction) -> None:
        for row in transaction.run(text("load", "swap"), new=new, name=name).data():
            for model in (row["old"], name):
                transaction.run(text("load", "rename"), model=model, most=RENAMED).consume()

    store.transact(work)
