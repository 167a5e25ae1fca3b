"""A loaded model's graph read back as arrays, and values written on its neurons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cypher import text
from etl.errors import BadRequest, Conflict
from etl.store.models import not_in_store
from etl.store.queries import queries
from etl.store.transactions import Store

if TYPE_CHECKING:
    from neo4j import Transaction

READ = 200_000  # edges a transaction
WRITTEN = 20_000  # neurons a transaction
MEANINGS: Mapping[str, str] = {  # of properties that a load or another command writes on neurons
    "id": "its number in the store",
    "name": "its address",
    "model": "the name of its model",
    "layer": "the name of its layer",
    "index": "its place in its layer",
    "channel": "its channel",
    "op": "how its inputs come together",
    "bias": "its bias",
    "activation": "its activation function",
    "value": "its activation for an example, written by `etl features --write`",
}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Span:
    """A complete model in the store. layers: name, begin, end, edges, shape; begin and end as positions, without the base."""

    name: str
    base: int
    neurons: int
    edges: int
    sha256: str
    layers: tuple[dict[str, Any], ...]

    def places(self) -> Iterator[dict[str, Any]]:
        """Layer and index of each neuron, in the order of ids."""
        for layer in self.layers:
            shape = layer["shape"] or [1]
            for index in np.ndindex(*shape) if layer["end"] > layer["begin"] else ():
                yield {"layer": layer["name"], "index": list(index)}


def span(store: Store, name: str) -> Span:
    """Where a model lies in the store. Raises NotInStore, or Conflict where it is there in part only."""
    rows = store.read(text("measure", "span"), model=name)
    if not rows or rows[0]["base"] is None:
        raise not_in_store(store, name)
    model = rows[0]
    if model["state"] != "COMPLETE":
        raise Conflict(f"{name} is loaded in part only: the same `etl load` goes on with it.")
    layers = tuple(layer | {"begin": layer["begin"] - model["base"], "end": layer["end"] - model["base"]} for layer in model["layers"])
    return Span(name, model["base"], model["neurons"], model["edges"], model["sha256"], layers)


def edges(store: Store, model: Span, progress: Progress = lambda *_: None) -> tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All weights of a model: the number of its neurons, and source, target, weight, an entry an edge, ids as positions.

    progress  is told how many of the `weights` are read.
    Raises Conflict where the store has more or fewer of them, BadRequest where only layers were loaded.
    """
    if not model.neurons:
        raise BadRequest(f"{model.name} has no neurons in the store: it was loaded with --granularity layer")
    source, target = np.empty(model.edges, np.int64), np.empty(model.edges, np.int64)
    weight = np.empty(model.edges)
    done = 0
    for begin, end in ranges(model):
        targets, sources, weights = incoming(store, model, begin, end)
        lengths = [len(ids) for ids in sources]
        here = slice(done, done + sum(lengths))
        if here.stop > model.edges:
            break
        source[here] = np.fromiter(chain.from_iterable(sources), np.int64, sum(lengths))
        weight[here] = np.fromiter(chain.from_iterable(weights), np.float64, sum(lengths))
        target[here] = np.repeat(np.array(targets, np.int64), lengths)
        done = here.stop
        progress("weights", done, model.edges)
    if done != model.edges:
        raise Conflict(f"{model.name} should have {model.edges:,} weights, and the store has others: delete it and load it again.")
    return model.neurons, source, target, weight


def incoming(store: Store, model: Span, begin: int, end: int) -> tuple[list[int], list[list[int]], list[list[float]]]:
    """The weights into a range of neurons: targets, and for each its sources and its weights."""

    def work(transaction: Transaction) -> list[list[Any]]:
        result = transaction.run(text("measure", "edges"), begin=begin + model.base, end=end + model.base, base=model.base)
        return [record.values() for record in result]  # dicts of them (`data`) copy every list element by element

    rows = store.transact(work, writes=False)
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def ranges(model: Span) -> Iterator[tuple[int, int]]:
    """Ranges of targets with a bounded number of weights."""
    for layer in model.layers:
        neurons = layer["end"] - layer["begin"]
        if layer["edges"]:
            step = max(1, READ * neurons // layer["edges"])
            for begin in range(layer["begin"], layer["end"], step):
                yield begin, min(begin + step, layer["end"])


def write(store: Store, model: Span, property: str, values: NDArray[Any], progress: Progress = lambda *_: None) -> None:
    """Write a value on each neuron, in bounded transactions; NaN takes the property away.

    property  one that `check_property` takes, or the one with the meaning that these values have
    values    (neurons,)
    """
    for begin in range(0, model.neurons, WRITTEN):
        part = [None if value != value else value for value in values[begin : begin + WRITTEN].tolist()]
        store.write(text("measure", "write"), begin=model.base + begin, property=property, values=part)
        progress("neurons", begin + len(part), model.neurons)


def check_property(property: str) -> None:
    """Raises BadRequest for a name that can't be a property, has a meaning already, or is one that stored queries write while they run."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", property):
        raise BadRequest(f"{property!r} can't be a property: take letters, digits and underscores, a letter first")
    if property in MEANINGS:
        raise BadRequest(f"a neuron's {property} is {MEANINGS[property]}: write to another property (taken: {', '.join(MEANINGS)})")
    writers = [query.name for query in queries().values() if query.writes == property]
    if writers:
        raise BadRequest(f"{property} is what the stored query {' and '.join(writers)} writes while it runs, and removes: write to another property")
