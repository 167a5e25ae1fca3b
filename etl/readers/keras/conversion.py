"""Arrays of legacy files as Keras 2 takes them: what Keras 1, the Theano backend and CuDNN layers stored otherwise is converted while it is read.

It is what Keras 2.3 and tf_keras do in `preprocess_weights_for_loading` (https://github.com/keras-team/keras/blob/2.3.1/keras/engine/saving.py),
in their order: 1. what no `keras_version` stands beside is of Keras 1; 2. kernels of the Theano backend are flipped, since it convolved where the
others correlate (tf_keras has forgotten this one); 3. a kernel that does not fit is tried the other way round; 4. CuDNN's layout and the plain one
are changed into each other where the layer is of the other kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.readers.keras.builder import KerasLayer, StoredArray
from etl.readers.keras.roles import Pattern, expected, matches_pattern, sizes

Read = Callable[[], NDArray[Any]]

CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")  # no others: Keras left separable ones as they were
GATES = {"LSTM": 4, "CuDNNLSTM": 4, "GRU": 3, "CuDNNGRU": 3}
SEPARATE = {"LSTM": ("i", "c", "f", "o"), "ConvLSTM2D": ("i", "c", "f", "o"), "GRU": ("z", "r", "h")}  # Keras 1: kernel, recurrent, bias of each
TOGETHER = {"LSTM": ("i", "f", "c", "o"), "ConvLSTM2D": ("i", "f", "c", "o"), "GRU": ("z", "r", "h")}
KERAS_1_AXES = {  # (kind, data format) -> where the axes of today's kernel stand in Keras 1's
    ("Conv2D", "channels_first"): (2, 3, 1, 0),
    ("Conv2DTranspose", "channels_last"): (0, 1, 3, 2),
    ("Conv2DTranspose", "channels_first"): (2, 3, 0, 1),
    ("Conv3D", "channels_first"): (2, 3, 4, 1, 0),
}
OTHER_WAY = (3, 2, 0, 1)


@dataclass(frozen=True)
class Writer:
    """Who wrote the arrays of a legacy file, as its attributes say.

    keras_1  no version stands beside them
    backend  `tensorflow`, `theano`, `cntk` or None
    """

    keras_1: bool = False
    backend: str | None = None


@dataclass(frozen=True)
class Converted:
    """Reads arrays and makes one of them."""

    change: Callable[..., NDArray[Any]]
    reads: tuple[Read, ...]
    options: tuple[Any, ...] = ()

    def __call__(self) -> NDArray[Any]:
        return np.ascontiguousarray(self.change(*(read() for read in self.reads), *self.options))


def with_joined_gates(layer: KerasLayer, arrays: list[StoredArray], writer: Writer) -> list[StoredArray]:
    """The arrays of one layer of the file with Keras 1's separate gates side by side. Raises Unsupported for what Keras itself converted wrongly."""
    if not writer.keras_1:
        return arrays
    if layer.kind == "Bidirectional":
        half = len(arrays) // 2
        pieces = zip(layer.within(), (arrays[:half], arrays[half:]), strict=True)
        return [array for piece, arrays_of_piece in pieces for array in with_joined_gates(piece, arrays_of_piece, writer)]
    if layer.kind == "TimeDistributed":
        (inside,) = layer.within()
        if inside.kind in CONVOLUTIONS:
            raise Unsupported(
                f"layer {layer.name!r} has weights of Keras 1 for a {inside.kind} inside TimeDistributed, which Keras 2 converts twice; "
                "load it with Keras 1 and give it to a model of today array by array"
            )
        return with_joined_gates(inside, arrays, writer)
    gates = SEPARATE.get(layer.kind, ())
    if not gates or len(arrays) != 3 * len(gates):
        return arrays
    if layer.kind == "ConvLSTM2D" and layer.options.get("data_format") == "channels_first":
        raise Unsupported(f"layer {layer.name!r} has weights of Keras 1 for a ConvLSTM2D with channels first, which Keras 2 itself can't convert")
    return [side_by_side([arrays[3 * gates.index(gate) + place] for gate in TOGETHER[layer.kind]]) for place in range(3)]


def side_by_side(arrays: list[StoredArray]) -> StoredArray:
    first = arrays[0]
    shape = (*first.shape[:-1], sum(array.shape[-1] for array in arrays))
    return replace(first, shape=shape, read=Converted(concatenated, tuple(array.read for array in arrays)))


def concatenated(*arrays: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(arrays, axis=-1)


def convert(layer: KerasLayer, arrays: dict[str, StoredArray], writer: Writer) -> dict[str, StoredArray]:
    """One layer's own arrays by role as Keras 2 takes them. Raises Unsupported for CuDNN arrays under a layer that can't compute the same."""
    if layer.kind in CONVOLUTIONS and "kernel" in arrays:
        roles = ("kernel", "recurrent_kernel") if layer.kind == "ConvLSTM2D" else ("kernel",)
        arrays = {role: convolution(layer, role, array, writer) if role in roles else array for role, array in arrays.items()}
    if layer.kind in GATES and {"kernel", "recurrent_kernel", "bias"} <= arrays.keys():
        arrays = recurrent(layer, arrays)
    return arrays


def convolution(layer: KerasLayer, role: str, array: StoredArray, writer: Writer) -> StoredArray:
    if writer.keras_1:
        array = of_keras_1(layer, array)
    if writer.backend == "theano":
        array = replace(array, read=Converted(flipped, (array.read,)))
    pattern: Pattern = dict(expected(layer.kind, layer.options) or []).get(role)
    if not matches_pattern(array.shape, pattern) and len(array.shape) == 4 and matches_pattern(reordered(array.shape, OTHER_WAY), pattern):
        array = transposed(array, OTHER_WAY)
    return array


def of_keras_1(layer: KerasLayer, array: StoredArray) -> StoredArray:
    """A kernel of Keras 1: rows and columns last for Theano's order, transposed convolutions by what they are the gradient of."""
    if layer.kind == "Conv1D" and len(array.shape) == 4:  # (length, 1, in, out), and in 1.1 (out, in, length, 1)
        if array.shape[:2] != (*sizes(layer.options, 1), 1) or array.shape[3] != layer.options.get("filters"):
            array = transposed(array, (2, 3, 1, 0))
        return replace(array, shape=(array.shape[0], *array.shape[2:]), read=Converted(without_width, (array.read,)))
    axes = KERAS_1_AXES.get((layer.kind, str(layer.options.get("data_format") or "channels_last")))
    return transposed(array, axes) if axes and len(axes) == len(array.shape) else array


def without_width(kernel: NDArray[Any]) -> NDArray[Any]:
    return kernel[:, 0]


def reordered(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)


def transposed(array: StoredArray, axes: tuple[int, ...]) -> StoredArray:
    return replace(array, shape=reordered(array.shape, axes), read=Converted(np.transpose, (array.read,), (axes,)))


def flipped(kernel: NDArray[Any]) -> NDArray[Any]:
    """A kernel (..., in, out) turned round along every axis in space."""
    return np.flip(kernel, axis=tuple(range(kernel.ndim - 2)))


def recurrent(layer: KerasLayer, arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Arrays of CuDNNLSTM and CuDNNGRU under LSTM and GRU(reset_after=True), and the reverse; the shape of the bias tells whose they are.

    Raises Unsupported where the layer can't compute the same.
    """
    gates, bias = GATES[layer.kind], arrays["bias"]
    units = arrays["recurrent_kernel"].shape[0]
    both, single = 2 * gates * units, gates * units
    plain_bias = (single,) if gates == 4 else (2, single)
    to_cudnn = layer.kind.startswith("CuDNN")
    if gates == 3 and bias.shape in {(both,), (2, single), (single,)}:
        stored = {(both,): "CuDNNGRU", (2, single): "GRU(reset_after=True)", (single,): "GRU(reset_after=False)"}[bias.shape]
        needed = "CuDNNGRU" if to_cudnn else f"GRU(reset_after={bool(layer.options.get('reset_after', False))})"
        if stored != needed and "GRU(reset_after=False)" in (stored, needed):
            raise Unsupported(f"layer {layer.name!r} has weights of {stored}, which {needed} can't take; correct its option reset_after")
    if bias.shape != (plain_bias if to_cudnn else (both,)):
        return arrays
    biases = (halved if to_cudnn else summed) if gates == 4 else reshaped
    shape = (both,) if to_cudnn else plain_bias
    return {
        **arrays,
        "kernel": replace(arrays["kernel"], read=Converted(relaid_gates, (arrays["kernel"].read,), (gates, "C" if to_cudnn else "F"))),
        "recurrent_kernel": replace(arrays["recurrent_kernel"], read=Converted(gates_transposed, (arrays["recurrent_kernel"].read,), (gates,))),
        "bias": replace(bias, shape=shape, read=Converted(biases, (bias.read,), (shape,))),
    }


def relaid_gates(kernel: NDArray[Any], gates: int, order: Any) -> NDArray[Any]:
    """Each gate's kernel (in, units) from CuDNN's order of elements ("F") or into it ("C"); its shape stays."""
    return np.hstack([gate.T.reshape(gate.shape, order=order) for gate in np.hsplit(kernel, gates)])


def gates_transposed(kernel: NDArray[Any], gates: int) -> NDArray[Any]:
    return np.hstack([gate.T for gate in np.hsplit(kernel, gates)])


def summed(bias: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """CuDNN has a bias beside the inputs and another beside the state."""
    return bias.reshape(2, *shape).sum(axis=0)


def halved(bias: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.tile(bias.dtype.type(0.5) * bias, 2)


def reshaped(bias: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return bias.reshape(shape)


def adapted(layer: KerasLayer, arrays: list[StoredArray]) -> list[StoredArray]:
    """Arrays of layers with low-rank adaptation (LoRA, https://arxiv.org/abs/2106.09685) as those they compute with: kernel + alpha / rank (a b)."""
    for inner in layer.everything():
        rank = inner.options.get("lora_rank")
        arrays_of_layer = [array for array in arrays if inner is layer or f"/{inner.name}/" in f"/{array.name}"] if rank else []
        ends = {array.name.removesuffix(":0").rpartition("/")[2]: array for array in arrays_of_layer}
        for role in ("kernel", "embeddings"):
            first, second, base = (ends.get(name) for name in (f"lora_{role}_a", f"lora_{role}_b", role))
            if rank and first is not None and second is not None and base is not None:
                scale = (inner.options.get("lora_alpha") or rank) / rank
                adapted_array = replace(base, read=Converted(adaptation, (base.read, first.read, second.read), (scale,)))
                arrays = [adapted_array if array is base else array for array in arrays if array is not first and array is not second]
    return arrays


def adaptation(base: NDArray[Any], first: NDArray[Any], second: NDArray[Any], scale: float) -> NDArray[Any]:
    return base + base.dtype.type(scale) * (first @ second)


def is_computed(array: StoredArray) -> bool:
    """Whether an array's elements are no stored numbers."""
    return isinstance(array.read, Converted) and array.read.change is adaptation
