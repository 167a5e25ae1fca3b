"""Small networks built by hand, for tests of what happens to a graph after it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Array, Call, Input, Layer, Model, Network, Tensor

Spec = tuple[str, str, dict[str, Any], dict[str, Any], list[str]]  # name, kind, options, arrays by role, names of what it reads


def graph(specs: list[Spec], outputs: list[str], *, sha256: str = "small") -> Graph:
    """The graph of a functional model; inputs are specs of the kind InputLayer."""
    inputs = [Input(name, options["batch_shape"][1:]) for name, kind, options, *_ in specs if kind == "InputLayer"]
    layers = [spec for spec in specs if spec[1] != "InputLayer"]
    place = {given.name: Tensor(INPUT, number) for number, given in enumerate(inputs)}
    place |= {spec[0]: Tensor(number) for number, spec in enumerate(layers)}
    calls = [Call(layer(name, kind, options, arrays), tuple(place[i] for i in reads)) for name, kind, options, arrays, reads in layers]
    network = Network(tuple(calls), tuple(inputs), tuple(place[name] for name in outputs))
    return trace(Model("small", network, sha256, "memory"))


def layer(name: str, kind: str, options: Mapping[str, Any], arrays: Mapping[str, Any]) -> Layer:
    stored, begin = [], 0
    for role, values in arrays.items():
        array = np.ascontiguousarray(values)
        stored.append(Array(role, array.shape, array.dtype, begin, lambda array=array: array.copy()))
        begin += array.size
    return Layer(name, kind, options, tuple(stored))


def given(name: str, *shape: int) -> Spec:
    return name, "InputLayer", {"batch_shape": (None, *shape)}, {}, []


def convolutional(seed: int = 0, names: Mapping[str, str] = {}, dtype: str = "float32") -> Graph:
    """Two convolutions (the first one padded), a pool, two dense layers: 15,114 weights.

    names  of its layers, where they are to be others than conv_0, pool, conv_1, flatten, dense_0, dense_1
    """
    random = np.random.default_rng(seed)

    def arrays(*shape: int) -> dict[str, Any]:
        return {"kernel": random.normal(size=shape).astype(dtype), "bias": random.normal(size=shape[-1:]).astype(dtype)}

    def n(name: str) -> str:
        return names.get(name, name)

    specs: list[Spec] = [
        given(n("input"), 9, 7, 3),
        (n("conv_0"), "Conv2D", {"padding": "same", "activation": "relu"}, arrays(3, 3, 3, 8), [n("input")]),
        (n("pool"), "MaxPooling2D", {"pool_size": (2, 2)}, {}, [n("conv_0")]),
        (n("conv_1"), "Conv2D", {"activation": "tanh"}, arrays(3, 3, 8, 12), [n("pool")]),
        (n("flatten"), "Flatten", {}, {}, [n("conv_1")]),
        (n("dense_0"), "Dense", {"activation": "relu"}, arrays(24, 20), [n("flatten")]),
        (n("dense_1"), "Dense", {"activation": "softmax"}, arrays(20, 10), [n("dense_0")]),
    ]
    return graph(specs, [n("dense_1")], sha256=f"convolutional {seed} {dtype} {sorted(names.items())}")


def branched(seed: int = 0) -> Graph:
    """Two inputs, a square (two weights between the same neurons), four outputs: two the same, one an input, one padded with zeros."""
    random = np.random.default_rng(seed)
    kernel = {"kernel": random.normal(size=(4, 6)).astype("float32")}
    statistics = {role: random.uniform(0.5, 2, 6).astype("float32") for role in ("gamma", "moving_mean", "moving_variance")}
    specs: list[Spec] = [
        given("left", 4),
        given("right", 3, 2, 1),
        ("dense", "Dense", {"activation": "relu6"}, kernel, ["left"]),
        ("square", "Multiply", {}, {}, ["dense", "dense"]),
        ("flat", "Flatten", {}, {}, ["right"]),
        ("sum", "Add", {}, {}, ["square", "flat"]),
        ("scaled", "BatchNormalization", {"center": False}, statistics, ["sum"]),
        ("padded", "ZeroPadding2D", {"padding": ((1, 0), (0, 1))}, {}, ["right"]),
    ]
    return graph(specs, ["scaled", "scaled", "left", "padded"], sha256=f"branched {seed}")


def long(seed: int = 0) -> Graph:
    """Layers of thousands of neurons, one of them of 4,096 to the neuron: what queries hold in lists of that length goes over their ends."""
    random = np.random.default_rng(seed)
    kernels = [
        {"kernel": random.normal(size=shape).astype("float32"), "bias": random.normal(size=shape[-1:]).astype("float32")}
        for shape in ((5, 1, 1), (2, 3))
    ]
    specs: list[Spec] = [
        given("x", 4096, 1),
        ("conv", "Conv1D", {"activation": "tanh", "strides": 2}, kernels[0], ["x"]),
        ("act", "Activation", {"activation": "relu"}, {}, ["conv"]),
        ("pool", "MaxPooling1D", {"pool_size": 1000, "strides": 1000}, {}, ["act"]),
        ("flat", "Flatten", {}, {}, ["pool"]),
        ("top", "Dense", {"activation": "softmax"}, kernels[1], ["flat"]),
    ]
    return graph(specs, ["top"], sha256=f"long {seed}")
