"""The models in a store: what is there, and how one goes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cypher import text
from etl.errors import Conflict, NotInStore, did_you_mean
from etl.store.transactions import Store, claimed

DELETED = 50_000  # relationships a transaction
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def models(store: Store) -> list[dict[str, Any]]:
    """One row a model, by name: name, state, sha256, format, selection, neurons, edges, parameters, loadedAt, etlVersion."""
    return store.read(text("load", "models"))


def listed(store: Store) -> list[dict[str, Any]]:
    """The same with what is stored of a load that hasn't ended: stored_neurons and stored_edges, null where all of a model is there.

    A replacement that is being loaded is a row of its own, with the name of the model whose place it will take.
    """
    begun = store.read(text("load", "begun"))
    stored = {row["name"]: row for row in begun if not row["replaces"]}
    nothing = {"stored_neurons": None, "stored_edges": None}
    rows = [row | {key: stored.get(row["name"], nothing)[key] for key in nothing} for row in models(store)]
    rows += [{**row, "state": "LOADING", "loadedAt": None} for row in begun if row["replaces"]]
    return sorted(rows, key=lambda row: str(row["name"]))


def not_in_store(store: Store, name: str) -> NotInStore:
    """What to raise where there is no model of that name: says which there are, and which was meant perhaps."""
    known = [row["name"] for row in models(store)]
    return NotInStore(f"the store has no model named {name}{did_you_mean(name, known)} (models: {', '.join(known) or 'none'}).")


def check_deletable(store: Store, name: str) -> None:
    """Raises NotInStore where there is neither a model of that name nor anything that interrupted loads of it left."""
    if find(store, name) is None and not unfinished(store, name):
        raise not_in_store(store, name)


def delete(store: Store, name: str, progress: Progress = silent) -> None:
    """Delete a model with all that belongs to it and nothing else, in bounded transactions; interrupted, the same call goes on.

    Raises NotInStore, or Conflict where another process is loading or deleting it.
    """
    check_deletable(store, name)
    with claimed(store, name):
        if find(store, name) is not None:
            erase(store, name, progress)
        sweep(store, name, progress)


def find(store: Store, name: str) -> dict[str, Any] | None:
    """The Model node of that name. Raises Conflict where it is not one of ours."""
    rows = store.read(text("load", "find"), name=name)
    if rows and rows[0]["base"] is None:
        raise Conflict(f"the store has a node Model {name} that this program did not make: choose another --name.")
    return rows[0] if rows else None


def unfinished(store: Store, name: str) -> list[dict[str, Any]]:
    """What interrupted loads, replacements and deletions of that name have left."""
    return store.read(text("load", "unfinished"), name=name)


def sweep(store: Store, name: str, progress: Progress = silent) -> None:
    """Delete all of that."""
    for left in unfinished(store, name):
        erase(store, left["name"], progress)


def erase(store: Store, model: str, progress: Progress = silent) -> None:
    """Delete one Model node and what belongs to it: neurons from the last layer to the first, so that each takes only its incoming weights along."""
    store.transact(lambda transaction: transaction.run(text("load", "unload"), model=model).consume())
    layers = store.read(text("load", "spans"), model=model)
    done, total = 0, sum(layer["end"] - layer["begin"] for layer in layers)
    for layer in layers:
        neurons = layer["end"] - layer["begin"]
        step = max(1, DELETED * neurons // (layer["edges"] + neurons))
        for end in range(layer["end"], layer["begin"], -step):
            span = {"begin": max(layer["begin"], end - step), "end": end}
            store.transact(lambda transaction, span=span: transaction.run(text("load", "delete_neurons"), **span).consume())  # type: ignore[misc]
            done += span["end"] - span["begin"]
            progress("old neurons deleted", done, total)
    store.transact(lambda transaction: transaction.run(text("load", "delete_model"), model=model).consume())
