"""neuron-etl: a trained neural network as a graph of single neurons in Neo4j.

graph = etl.read("model.h5")
with etl.connect() as store:
    store.load(graph)
    store.query("summary")
"""

from __future__ import annotations

from etl.api import Rows, Store, StoredModel, connect, features, layer_kinds, read, split, verify
from etl.api_graph import Graph, Plan
from etl.errors import EtlError
from etl.version import VERSION

__all__ = [
    "EtlError",
    "Graph",
    "Plan",
    "Rows",
    "Store",
    "StoredModel",
    "connect",
    "features",
    "layer_kinds",
    "read",
    "split",
    "verify",
]

__version__ = VERSION
