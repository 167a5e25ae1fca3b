"""Which arrays a layer has, by its kind and options: their roles in Keras' order and their shapes.

A shape names what the configuration settles and has None for the rest; no shape at all where even the rank is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from etl.errors import BadFile

Pattern = tuple[int | None, ...] | None
Slots = list[tuple[str, Pattern]]
Options = Mapping[str, Any]

# Kinds whose arrays belong to layers of their own inside them, which Keras does not show as layers.
CELLS = {"LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}
PROJECTIONS = {"MultiHeadAttention", "GroupQueryAttention"}


def expected(kind: str, options: Options) -> Slots | None:
    """(role, shape) of a layer's own arrays; None for a kind that is not in the table, whose arrays are taken as the file has them."""
    rule = ROLES.get(kind)
    return None if rule is None else rule(options)


def matches_pattern(shape: tuple[int, ...], pattern: Pattern) -> bool:
    return pattern is None or (len(shape) == len(pattern) and all(want is None or n == want for n, want in zip(shape, pattern, strict=True)))


def number(options: Options, name: str, default: int | None = None) -> int:
    """An option that is a number of units, filters and the like. Raises BadFile where it is none."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (isinstance(value, float) and not value.is_integer()):
        raise BadFile(f"layer {options.get('name')!r}: option {name} is {value!r}, not a number of things; the file is broken")
    return int(value)


def sizes(options: Options, rank: int, name: str = "kernel_size") -> tuple[int, ...]:
    """An option that is one size for all axes, or one for each. Raises BadFile where it is neither."""
    value = options.get(name)
    values = value if isinstance(value, list | tuple) else [value] * rank
    if len(values) != rank:
        raise BadFile(f"layer {options.get('name')!r}: option {name} is {value!r}, not {rank} numbers; the file is broken")
    return tuple(number({name: size, "name": options.get("name")}, name) for size in values)


def with_bias(options: Options, slots: Slots, bias: Pattern) -> Slots:
    return [*slots, ("bias", bias)] if options.get("use_bias", True) else slots


def dense(options: Options) -> Slots:
    units = number(options, "units")
    return with_bias(options, [("kernel", (None, units))], (units,))


def conv(rank: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        filters = number(options, "filters")
        return with_bias(options, [("kernel", (*sizes(options, rank), None, filters))], (filters,))

    return roles


def conv_transpose(rank: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        filters = number(options, "filters")
        return with_bias(options, [("kernel", (*sizes(options, rank), filters, None))], (filters,))

    return roles


def depthwise(rank: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        return with_bias(options, [("kernel", (*sizes(options, rank), None, number(options, "depth_multiplier", 1)))], (None,))

    return roles


def separable(rank: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        filters, multiplier = number(options, "filters"), number(options, "depth_multiplier", 1)
        kernels: Slots = [("depthwise_kernel", (*sizes(options, rank), None, multiplier)), ("pointwise_kernel", (*(1,) * rank, None, filters))]
        return with_bias(options, kernels, (filters,))

    return roles


def recurrent(gates: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        units = number(options, "units")
        wide = gates * units
        return with_bias(options, [("kernel", (None, wide)), ("recurrent_kernel", (units, wide))], (wide,))

    return roles


def gru(options: Options) -> Slots:
    slots = recurrent(3)(options)
    if options.get("reset_after", False) and slots[-1][0] == "bias":  # one row for the input, one for the state
        slots[-1] = ("bias", (2, 3 * number(options, "units")))
    return slots


def cudnn(gates: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        units = number(options, "units")
        return [("kernel", (None, gates * units)), ("recurrent_kernel", (units, gates * units)), ("bias", (2 * gates * units,))]

    return roles


def conv_lstm(rank: int) -> Callable[[Options], Slots]:
    def roles(options: Options) -> Slots:
        filters, size = number(options, "filters"), sizes(options, rank)
        recurrent_size = (None,) * rank  # cells of old files leave it out of the configuration
        wide = 4 * filters
        return with_bias(options, [("kernel", (*size, None, wide)), ("recurrent_kernel", (*recurrent_size, filters, wide))], (wide,))

    return roles


def embedding(options: Options) -> Slots:
    return [("embeddings", (number(options, "input_dim"), number(options, "output_dim")))]


def batch_normalization(options: Options) -> Slots:
    axes = options.get("axis")
    shape = None if isinstance(axes, list) and len(axes) > 1 else (None,)  # for several axes Keras 2 keeps an axis for each of the input's
    slots = [*scale_and_center(options, shape), ("moving_mean", shape), ("moving_variance", shape)]
    return [*slots, *((role, None) for role in ("moving_stddev", "renorm_mean", "renorm_stddev"))] if options.get("renorm") else slots


def layer_normalization(options: Options) -> Slots:
    axes = options.get("axis")
    if options.get("rms_scaling"):
        options = {**options, "scale": True, "center": False}
    return scale_and_center(options, (None,) * (len(axes) if isinstance(axes, list) else 1))


def scale_and_center(options: Options, shape: Pattern) -> Slots:
    return [(role, shape) for role, switch in (("gamma", "scale"), ("beta", "center")) if options.get(switch, True)]


def group_normalization(options: Options) -> Slots:
    return scale_and_center(options, (None,))


def rms_normalization(options: Options) -> Slots:
    return [("scale", None)]


def normalization(options: Options) -> Slots:
    has_constants = options.get("mean") is not None and options.get("variance") is not None
    return [] if has_constants else [("mean", None), ("variance", None), ("count", ())]


def prelu(options: Options) -> Slots:
    return [("alpha", None)]


def attention(options: Options) -> Slots:
    slots: Slots = [("scale", ())] if options.get("use_scale", False) else []
    return [*slots, ("concat_score_weight", ())] if options.get("score_mode") == "concat" else slots


def additive_attention(options: Options) -> Slots:
    return [("scale", (None,))] if options.get("use_scale", True) else []


def projected(options: Options) -> tuple[str, ...]:
    """The projections of an attention layer, in the order of their variables."""
    return ("query", "key", "gate", "value", "output") if options.get("use_gate") else ("query", "key", "value", "output")


def projections(options: Options, query: tuple[int, int], key: tuple[int, int], value: tuple[int, int]) -> Slots:
    out = options.get("output_shape")
    back: Pattern = (query[0], value[1], *(None,) * (len(out) if isinstance(out, list) else 1))
    inner = {"query": query, "key": key, "gate": (query[0], value[1]), "value": value}
    slots: Slots = []
    for name in projected(options):
        kernel, row = (back, None) if name == "output" else ((None, *inner[name]), inner[name])
        slots += [(f"{name}_kernel", kernel), (f"{name}_bias", row)][: 2 if options.get("use_bias", True) else 1]
    return slots


def multi_head_attention(options: Options) -> Slots:
    heads, depth = number(options, "num_heads"), number(options, "key_dim")
    wide = depth if options.get("value_dim") is None else number(options, "value_dim")
    return projections(options, (heads, depth), (heads, depth), (heads, wide))


def group_query_attention(options: Options) -> Slots:
    depth, few = number(options, "head_dim"), number(options, "num_key_value_heads")
    return projections(options, (number(options, "num_query_heads"), depth), (few, depth), (few, depth))


def einsum_dense(options: Options) -> Slots:
    equation = str(options.get("equation", ""))
    operand = equation.partition("->")[0].partition(",")[2].strip()
    kernel: Pattern = (None,) * len(operand) if operand.isalpha() else None
    return [("kernel", kernel), ("bias", None)] if options.get("bias_axes") else [("kernel", kernel)]


def spectral_normalization(options: Options) -> Slots:
    return [("vector_u", (1, None))]  # kernel and bias are the inner layer's


def reversible_embedding(options: Options) -> Slots:
    rows, width = number(options, "input_dim"), number(options, "output_dim")
    return [*embedding(options), *([] if options.get("tie_weights", True) else [("reverse_embeddings", (width, rows))])]


def stft_spectrogram(options: Options) -> Slots:
    kernel = (number(options, "frame_length"), 1, None)
    return [(f"{component}_kernel", kernel) for component, opposite in (("real", "imag"), ("imag", "real")) if options.get("mode") != opposite]


def locally_connected(options: Options) -> Slots:
    return with_bias(options, [("kernel", None)], None)


def layer_scale(options: Options) -> Slots:
    return [("gamma", (number(options, "projection_dim"),))]


def no_arrays(options: Options) -> Slots:
    return []


ROLES: dict[str, Callable[[Options], Slots]] = {
    "Dense": dense,
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    **{f"Conv{n}D": conv(n) for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": conv_transpose(n) for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": depthwise(n) for n in (1, 2)},
    **{f"SeparableConv{n}D": separable(n) for n in (1, 2)},
    **{f"ConvLSTM{n}D": conv_lstm(n) for n in (1, 2, 3)},
    **{name: recurrent(4) for name in ("LSTM", "LSTMCell")},
    **dict.fromkeys(("GRU", "GRUCell"), gru),
    **{name: recurrent(1) for name in ("SimpleRNN", "SimpleRNNCell")},
    "CuDNNLSTM": cudnn(4),
    "CuDNNGRU": cudnn(3),
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "RMSNormalization": rms_normalization,
    "Normalization": normalization,
    "SpectralNormalization": spectral_normalization,
    "LayerScale": layer_scale,
    "ReversibleEmbedding": reversible_embedding,
    "STFTSpectrogram": stft_spectrogram,
    **{f"LocallyConnected{n}D": locally_connected for n in (1, 2)},
    "PReLU": prelu,
    "Attention": attention,
    "AdditiveAttention": additive_attention,
    "MultiHeadAttention": multi_head_attention,
    "GroupQueryAttention": group_query_attention,
    **dict.fromkeys(
        ("InputLayer", "TimeDistributed", "Bidirectional", "RNN", "StackedRNNCells", "QuantizeAnnotate", "Functional", "Sequential"), no_arrays
    ),
}
