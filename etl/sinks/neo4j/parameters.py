"""From arrays to parameters of the statements in cypher/load: packed vectors where the server takes them, lists elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from etl.graph.blocks import NeuronBlock
from etl.sinks.neo4j.write_batches import LONGEST, KernelBlock
from etl.store.transactions import Store

RESERVED = ("Neuron", "Layer", "Model")


class Packer:
    """Makes parameters for one store: ids are moved by `base`; biases are of the graph's `dtype`."""

    def __init__(self, store: Store, base: int, dtype: Any) -> None:
        self.base, self.dtype = base, dtype
        self.vectors = store.bolt >= (6, 0) and store.version >= (2025, 10)

    def statement(self, text: str) -> str:
        """A statement for that server: the functions on vectors are in Cypher 25."""
        return f"CYPHER 25 {text}" if self.vectors else text

    def pack(self, array: Any) -> Any:
        """One parameter of at most LONGEST entries."""
        if not self.vectors or not np.isfinite(array).all():  # a vector's entries are numbers, NaN is none
            return array.tolist()
        from neo4j.vector import Vector

        return Vector(np.ascontiguousarray(array))

    def ids(self, positions: Any) -> Any:
        """Positions as ids of the store; what is no neuron stays below zero."""
        return self.pack(np.where(positions >= 0, positions + self.base, positions) if self.base else positions)

    def windows(self, blocks: Sequence[KernelBlock]) -> dict[str, list[Any]]:
        """Parameters of windows.cypher."""
        return {
            "layers": [block.row.name for block in blocks],
            "sources": [[self.ids(window) for window in block.source] for block in blocks],
            "targets": [[self.ids(targets) for targets in block.target] for block in blocks],
            "weights": [[self.pack(row) for row in block.weight[0]] for block in blocks],
            "parameters": [[] if block.parameter is None else [self.pack(row) for row in block.parameter[0]] for block in blocks],
        }

    def columns(self, blocks: Sequence[KernelBlock]) -> dict[str, list[Any]]:
        """Parameters of weights.cypher."""
        columns: dict[str, list[Any]] = {name: [] for name in ("layers", "sources", "targets", "weights", "parameters")}
        for block in blocks:
            source, target, weight, parameter = block.columns()
            for start in range(0, len(source), LONGEST):
                part = slice(start, start + LONGEST)
                columns["layers"].append(block.row.name)
                columns["sources"].append(self.ids(source[part]))
                columns["targets"].append(self.ids(target[part]))
                columns["weights"].append(self.pack(weight[part]))
                columns["parameters"].append(None if parameter is None else self.pack(parameter[part]))
        return columns

    def neurons(self, block: NeuronBlock) -> dict[str, Any]:
        """Neurons of one row, for neurons.cypher."""
        row, bias, begin = block.row, block.bias.astype(self.dtype), int(block.ids.min())
        return {
            "begin": begin + self.base,
            "place": begin - row.begin,
            "count": block.ids.size,
            "shape": list(row.shape),
            "strides": [prod(row.shape[axis + 1 :]) for axis in range(len(row.shape))],
            "channel": row.channel_axis,
            "layer": row.name,
            "label": label(row.label),
            "op": block.op,
            "activation": block.activation,
            "bias": [] if np.isnan(bias).all() else [self.pack(bias[i : i + LONGEST]) for i in range(0, len(bias), LONGEST)],
        }

    def outputs(self, outputs: Sequence[Any]) -> Iterator[tuple[dict[str, Any], int]]:
        """What the model returns, for outputs.cypher, with the number of rows; padded zeros have no neuron."""
        for number, ids in enumerate(outputs):
            flat = ids.reshape(-1)
            places = np.flatnonzero(flat >= 0)
            for start in range(0, len(places), LONGEST):
                part = places[start : start + LONGEST]
                yield {"output": number, "position": self.pack(part), "id": self.ids(flat[part])}, len(part)


def label(layer: str) -> str:
    """The second label of a layer's neurons."""
    return f"{layer}_" if layer in RESERVED else layer
