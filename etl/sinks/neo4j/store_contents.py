"""What a store holds, read back so that the import tool can build it again beside a new model: exactly, or not at all.

A store is read while it is served. Whoever takes what was read for the whole must see that nobody has written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cypher import text
from etl.errors import StoreError
from etl.sinks.neo4j.import_tables import Tables

if TYPE_CHECKING:
    from etl.store.transactions import Store

CONSTRAINTS = {"neuron_id", "layer_key", "model_name"}
JOINS = ("HAS_LAYER", "FEEDS", "LEDGER")


class NotReadableError(StoreError):
    """The store can't be read back exactly: it stays as it is, and what is new comes beside it over Bolt."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the local Neo4j holds {what}, which the import tool can't build again: add to it with --mode live.")


@dataclass(frozen=True)
class Span:
    """Neurons of one layer, by id, and how many weights lead into them when all are there."""

    begin: int
    end: int
    edges: int


@dataclass(frozen=True)
class Entry:
    """A node that is no neuron: a model, a layer, or an entry of a ledger."""

    node: str
    labels: tuple[str, ...]
    properties: dict[str, Any]


@dataclass(frozen=True)
class Contents:
    """What a store holds but the neurons and weights themselves. models: the spans of each, in the order of their ids; base: the first free id."""

    entries: tuple[Entry, ...]
    joins: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    models: tuple[tuple[Span, ...], ...]
    neurons: int
    weights: int
    base: int


def contents(store: Store, without: str) -> Contents:
    """All that a store holds but the model of that name. Raises NotReadableError where it holds more than models."""
    refuse_schema(store)
    entries = [Entry(row["node"], tuple(row["labels"]), row["properties"]) for row in store.read(text("carry", "entries"))]
    joins, outputs, counts = store.read(text("carry", "joins")), store.read(text("carry", "outputs")), store.read(text("carry", "counts"))[0]
    if any(join["properties"] for join in joins) or any(row["properties"] != 2 for row in outputs):
        raise NotReadableError("a relationship with properties of somebody's own")
    if len(entries) + counts["neurons"] != counts["nodes"] or len(joins) + len(outputs) + counts["weights"] != counts["relationships"]:
        raise NotReadableError("nodes or relationships that belong to no model")
    gone = {
        entry.node for entry in entries if "Model" in entry.labels and without in (entry.properties.get("name"), entry.properties.get("temporary"))
    }
    gone |= {join["target"] for join in joins if join["source"] in gone}
    kept = [entry for entry in entries if entry.node not in gone]
    neurons, weights = counts["neurons"], counts["weights"]
    for span in spans(entry for entry in entries if entry.node in gone):
        held = store.read(text("carry", "size"), begin=span.begin, end=span.end)[0]
        neurons, weights = neurons - held["neurons"], weights - held["weights"]
    return Contents(
        tuple(kept),
        tuple(join for join in joins if join["source"] not in gone),
        tuple(row for row in outputs if row["model"] not in gone),
        tuple(models(kept)),
        neurons,
        weights,
        store.read(text("load", "free"))[0]["base"],
    )


def refuse_schema(store: Store) -> None:
    """Raises NotReadableError where somebody has made constraints or indexes of their own: the import tool makes none."""
    foreign = {row["name"] for row in store.read("SHOW CONSTRAINTS YIELD name")} - CONSTRAINTS
    indexes = "SHOW INDEXES YIELD name, type, owningConstraint WHERE type <> 'LOOKUP' AND owningConstraint IS NULL RETURN name"
    foreign |= {row["name"] for row in store.read(indexes)}
    if foreign:
        raise NotReadableError(f"a constraint or an index of somebody's own ({', '.join(sorted(foreign))})")


def spans(entries: Iterator[Entry]) -> Iterator[Span]:
    """Of the layers among them that have neurons."""
    for layer in (entry.properties for entry in entries if "Layer" in entry.labels):
        if layer["begin"] < layer["end"]:
            yield Span(layer["begin"], layer["end"], layer["edges"])


def models(entries: Sequence[Entry]) -> Iterator[tuple[Span, ...]]:
    """Spans, model by model."""
    layers = dict[str, list[Entry]]()
    for entry in entries:
        if "Layer" in entry.labels:
            layers.setdefault(entry.properties["model"], []).append(entry)
    found = (tuple(sorted(spans(iter(held)), key=lambda span: span.begin)) for held in layers.values())
    yield from sorted((held for held in found if held), key=lambda held: held[0].begin)


def add_entries(held: Contents, ids: Any, first: int, tables: Tables) -> None:
    """Add models, layers and ledgers, and what joins them with each other and with what models return.

    ids    of all neurons that are kept, sorted; `first`: the record of the first of them
    """
    try:
        records = tables.add_entries([(entry.labels, entry.properties) for entry in held.entries])
    except TypeError as error:
        raise NotReadableError(f"a model or a layer with a property of the type {error}") from error
    at = {entry.node: record for entry, record in zip(held.entries, records, strict=True)}
    for kind in JOINS:
        tables.add_pairs(kind, [(at[join["source"]], at[join["target"]]) for join in held.joins if join["kind"] == kind])
    neuron, output, position = (np.array([row[key] for row in held.outputs], np.int64) for key in ("neuron", "output", "position"))
    ends = {":START_ID": pa.array([at[row["model"]] for row in held.outputs], pa.int64()), ":END_ID": first + np.searchsorted(ids, neuron)}
    tables.add_relationships("OUTPUT", "kept_outputs", [pa.table(ends | {"output:long": output, "position:long": position})])
