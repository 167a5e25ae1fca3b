"""What the store holds of a range of neurons and of the weights into them, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cypher import text
from etl.store.stored_graph import Span
from etl.store.transactions import Store

if TYPE_CHECKING:
    from neo4j import Transaction


@dataclass(frozen=True)
class Neurons:
    """Neurons in the order of their ids, which are positions. biases: NaN where there is none, infinite where it is no number."""

    ids: NDArray[np.int64]
    ops: list[str]
    activations: list[str]
    biases: NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Edges as columns, ids as positions. parameter: -1 where the edge is no stored number; weight: NaN where it is no number."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64]
    parameter: NDArray[np.int64]

    @property
    def keys(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """What tells edges apart, the least important first, as `np.lexsort` takes it."""
        return self.parameter, self.source, self.target


def concatenated(parts: list[Weights]) -> Weights:
    """Edges of several parts together."""
    if not parts:
        none = np.empty(0, np.int64)
        return Weights(none, none, np.empty(0), none)
    return Weights(*(np.concatenate([getattr(weights, name) for weights in parts]) for name in ("source", "target", "weight", "parameter")))


def neurons_of(store: Store, model: Span, begin: int, end: int) -> Neurons:
    """The neurons from one position up to another."""
    (row,) = rows_of(store, model, "neurons", begin, end)
    return Neurons(np.array(row[0], np.int64) - model.base, row[1], row[2], np.array(row[3], np.float64))


def weights_into(store: Store, model: Span, begin: int, end: int) -> Weights:
    """The weights into the neurons from one position up to another."""
    rows = rows_of(store, model, "weights", begin, end)
    lengths = [len(row[1]) for row in rows]

    def column(number: int, dtype: Any) -> NDArray[Any]:
        return np.fromiter(chain.from_iterable(row[number] for row in rows), dtype, sum(lengths))

    target = np.repeat(np.array([row[0] for row in rows], np.int64), lengths)
    return Weights(column(1, np.int64) - model.base, target - model.base, column(2, np.float64), column(3, np.int64))


def rows_of(store: Store, model: Span, query: str, begin: int, end: int) -> list[list[Any]]:
    """The rows of a query of cypher/save about a range of neurons."""

    def work(transaction: Transaction) -> list[list[Any]]:
        records = transaction.run(text("save", query), begin=begin + model.base, end=end + model.base)
        return [record.values() for record in records]

    return store.transact(work, writes=False)
