"""Masks say which steps of an example count. Their way from the layers that make them to those that read them is known from the kinds of layers.

A mask that nobody reads changes nothing and is left out. One that is read depends on the example, so it has no fixed graph: its readers are
refused, unless the user gives the length of the sequences (then it is a constant, and the graph is exact for them) or takes masks as absent.
Keras 2 sends masks along unseen; Keras 3 also writes down what computes them as operations, and the mask as an argument of some calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from etl.errors import BadRequest
from etl.network import INPUT, Array, Call, Layer, Network, Padding, Tensor, leaves, substitute

IGNORING = "so what counts depends on the example; --ignore-masks makes the graph as if nothing were masked"
CHOICE = f"{IGNORING}, --lengths 7 the one for sequences of 7 steps (-7: padded in front)"
SETTLING = (
    "which no length settles: it is not made of an input alone, or Keras loses it on the way, or its reader has no rule; --ignore-masks is left"
)
ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask", "attention_mask")

RECURRENT = frozenset("SimpleRNN LSTM GRU RNN CuDNNLSTM CuDNNGRU ConvLSTM1D ConvLSTM2D ConvLSTM3D Bidirectional".split())
# What a rule calls the length of each tensor that it reads with its mask, in the order of its tensors.
LENGTHS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(RECURRENT, ("length",)),
    "GlobalAveragePooling1D": ("length",),
    "Attention": ("query_length", "value_length"),
    "AdditiveAttention": ("query_length", "value_length"),
    "MultiHeadAttention": ("query_length", "value_length", "key_length"),
}
WITHOUT_RULE = frozenset("MultiHeadAttention GroupQueryAttention Softmax GroupNormalization".split())  # they read masks; no rule takes one

JOINING = frozenset("Add Subtract Multiply Average Maximum Minimum Concatenate".split())
PASSING = frozenset(
    "Activation ActivityRegularization AlphaDropout BatchNormalization Dense Dropout ELU GaussianDropout GaussianNoise GroupNormalization "
    "LayerNormalization LeakyReLU Masking MultiHeadAttention GroupQueryAttention PReLU ReLU Softmax SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D ThresholdedReLU TimeDistributed UnitNormalization Attention AdditiveAttention".split()
)
PASSING_SINCE_3 = frozenset("Identity Normalization Rescaling".split())


@dataclass(frozen=True)
class Mask:
    """Which steps of a tensor count.

    makers  titles of the calls that it comes from
    length  how many steps count, of the last ones where it is below zero; None where nobody gave it, or no single length says it
    lost    Keras 3 itself may have dropped it when a call reads it: its MultiHeadAttention takes the masks of its tensors away while it runs
    """

    makers: frozenset[str]
    length: int | None = None
    lost: bool = False


Masks = Sequence[Mask | None]


def settle_masks(network: Network, ignore: bool = False, lengths: Sequence[int] = ()) -> Network:
    """The same model without masks: left out where nobody reads them, constants where lengths are given, or taken as absent.

    lengths  one for all inputs whose steps are masked, or one for each of them, in the model's order
    Layers that read a mask which depends on the example are marked as refused. Raises BadRequest for lengths that are not as many as the masks.
    """
    if ignore and lengths:
        raise BadRequest("--lengths says which steps count, --ignore-masks that all do: give one of them")
    if ignore:
        return without_masks(network)
    propagation = Propagation()
    changed = propagation.whole_model(network)
    if not lengths:
        return changed
    masked = sorted(propagation.padded)
    if not masked:
        raise BadRequest("no layer masks steps of an input: leave out --lengths")
    if len(lengths) not in (1, len(masked)):
        names = ", ".join(network.inputs[number].name for number in masked)
        raise BadRequest(f"{len(lengths)} --lengths are given; steps are masked of the inputs {names}: give one for all, or one for each of them")
    lengths_by_input = lengths if len(lengths) > 1 else [lengths[0]] * len(masked)
    return Propagation(dict(zip(masked, lengths_by_input, strict=True))).whole_model(network)


@dataclass
class Propagation:
    """Masks on their way through a network and the models within it.

    lengths    of the model's inputs, by number, where they are given
    padded     what the steps hold that don't count, of every input that a layer masks
    settled    layers that are done, by the identity of the file's and what else decides: each once however often it is called
    explained  whether a refusal has said already what can be done
    """

    lengths: Mapping[int, int] = field(default_factory=dict)
    padded: dict[int, float] = field(default_factory=dict)
    explained: bool = False
    settled: dict[Any, Any] = field(default_factory=dict)

    def whole_model(self, network: Network) -> Network:
        """The whole model without masks."""
        changed, _ = self.through(network, [None] * len(network.inputs), range(len(network.inputs)))
        lengths, values = self.lengths, self.padded
        inputs = (
            replace(declared, padding=Padding(lengths[n], values[n])) if n in lengths else declared for n, declared in enumerate(network.inputs)
        )
        return replace(changed, inputs=tuple(inputs))

    def through(self, network: Network, masks: Masks, origins: Sequence[int | None], prefix: str = "") -> tuple[Network, Masks]:
        """A model and the masks of its outputs. masks, origins: of its inputs, and which inputs of the whole model they are."""
        place = NetworkMasks(network, prefix, {Tensor(INPUT, n): mask for n, mask in enumerate(masks)}, dict(enumerate(origins)))
        calls = [self.call(call, number, place) for number, call in enumerate(network.calls)]
        changed = replace(network, calls=tuple(calls))
        changed = without_unread(network, changed)
        return changed, [place.masks.get(tensor) for tensor in network.outputs]

    def call(self, call: Call, number: int, place: NetworkMasks) -> Call:
        """One call without masks, or told of their lengths; the masks of its outputs are noted."""
        masks = [place.mask_at(tensor, number) for tensor in operands(call)]
        mask_arguments = {name: value for name, value in call.kwargs.items() if is_mask(name, value)}
        layer, kwargs, refusal = call.layer, {name: value for name, value in call.kwargs.items() if name not in mask_arguments}, None
        if any(not place.is_of(value, masks) for value in mask_arguments.values()):
            refusal = f"has a tensor as mask, {IGNORING}"
        if layer.network is not None:
            layer, outputs = self.nested(call, masks, place)
        else:
            lengths, unread = self.lengths_for(layer, [mask and replace(mask, lost=mask.lost and not mask_arguments) for mask in masks])
            refusal, kwargs = refusal or unread, kwargs | lengths
            layer, outputs = self.within(layer), outputs_of(layer, masks)
            if is_maker(layer):
                layer, kwargs, outputs = self.maker(call, kwargs, place)
        for output, mask in enumerate(outputs):
            if mask is not None:
                place.masks[Tensor(number, output)] = mask
        return replace(call, layer=replace(layer, refusal=layer.refusal or refusal) if refusal else layer, kwargs=kwargs)

    def nested(self, call: Call, masks: Masks, place: NetworkMasks) -> tuple[Layer, Masks]:
        """A model in the model. Called with the same masks again, it stays one object."""
        layer, origins = call.layer, tuple(place.origin(tensor) for tensor in leaves(call.args, Tensor))
        key = id(layer), tuple(masks), origins
        if key not in self.settled:
            assert layer.network is not None
            network, outputs = self.through(layer.network, masks, origins, f"{place.prefix}{call.title}/")
            self.settled[key] = replace(layer, network=network), outputs
        changed: tuple[Layer, Masks] = self.settled[key]
        return changed

    def maker(self, call: Call, kwargs: Mapping[str, Any], place: NetworkMasks) -> tuple[Layer, dict[str, Any], Masks]:
        """A layer that makes a mask: as it computes values, without it."""
        source, value = next(leaves(call.args, Tensor)), masked_value(call.layer)
        title, origin = place.prefix + call.title, place.origin(source)
        length = None if origin is None else self.lengths.get(origin)
        if origin is not None:
            self.padded[origin] = value
        key = id(call.layer), length
        if key not in self.settled:
            self.settled[key] = self.values_alone(call.layer, length)
        layer = self.settled[key]
        length_option = {"length": length} if layer.kind == "Masking" and length is not None else {}
        return layer, {**kwargs, **length_option}, [Mask(frozenset([title]), length)]

    def within(self, layer: Layer) -> Layer:
        """A layer without the masks that layers inside it make, for a wrapper's layer is called without any."""
        key = id(layer)
        if key not in self.settled:
            self.settled[key] = layer.with_inner(self.inner) if layer.inner else layer
        changed: Layer = self.settled[key]
        return changed

    def inner(self, layer: Layer) -> Layer:
        changed = self.within(layer)
        if layer.network is not None:
            inputs = len(layer.network.inputs)
            changed = replace(changed, network=self.through(layer.network, [None] * inputs, [None] * inputs, f"{layer.name}/")[0])
        return self.values_alone(changed, None) if is_maker(layer) else changed

    def values_alone(self, layer: Layer, length: int | None) -> Layer:
        """A layer that makes a mask, as it computes values: Masking also sets masked steps to zero."""
        if layer.kind != "Masking":
            return replace(layer, options={**layer.options, "mask_zero": False})
        if length is not None or masked_value(layer) == 0.0:  # steps of zeros are zero already
            return replace(layer, options={})
        return replace(layer, refusal=layer.refusal or f"sets steps of {masked_value(layer):g} to zero{self.why()}")

    def lengths_for(self, layer: Layer, masks: Masks) -> tuple[dict[str, int], str | None]:
        """The lengths that a layer's rule is to be told; else why it is refused: it reads a mask that depends on the example."""
        names = LENGTHS.get(layer.kind, ())
        if layer.kind == "MultiHeadAttention" and layer.dialect == "keras2":
            names = ()  # it takes masks along since TensorFlow 2.10, and no file says by which it was made
        read = [mask for mask in masks[: len(names) or None] if mask is not None]
        if not read or not (names or reads_mask(layer)):
            return {}, None
        makers = ", ".join(sorted(frozenset().union(*(mask.makers for mask in read))))
        if not names or any(mask.length is None or mask.lost for mask in read):
            return {}, f"reads the mask of {makers}{self.why()}"
        return {name: mask.length for name, mask in zip(names, masks, strict=False) if mask is not None and mask.length is not None}, None

    def why(self) -> str:
        """What to do about a mask that depends on the example; said once."""
        if self.explained:
            return ""
        self.explained = True
        return f", {SETTLING}" if self.lengths else f", {CHOICE}"


@dataclass
class NetworkMasks:
    """One network while masks go through it: the masks of its tensors, which inputs of the whole model are its own, and who makes masks of what."""

    network: Network
    prefix: str
    masks: dict[Tensor, Mask | None]
    origins: Mapping[int, int | None]

    def mask_at(self, tensor: Tensor, number: int) -> Mask | None:
        """The mask of a tensor as the call of that number finds it."""
        mask, takers = self.masks.get(tensor), self.takers.get(tensor, set()) - {number}
        return replace(mask, lost=True) if mask is not None and takers else mask

    @cached_property
    def takers(self) -> dict[Tensor, set[int]]:
        """Calls that take the masks of tensors away while they run."""
        calls: dict[Tensor, set[int]] = {}
        for number, call in enumerate(self.network.calls):
            inside = call.layer.network.every_layer() if call.layer.network else [call.layer]
            if any(layer.kind == "MultiHeadAttention" and layer.dialect == "keras3" for layer in inside):
                for tensor in call.reads:
                    calls.setdefault(tensor, set()).add(number)
        return calls

    def origin(self, tensor: Tensor) -> int | None:
        """The input of the whole model that a tensor is; None for all others."""
        return self.origins.get(tensor.output) if tensor.call == INPUT else None

    def is_of(self, value: Any, masks: Masks) -> bool:
        """Whether an argument that is a mask was computed, by Keras, as the one that its tensors come with."""
        makers = frozenset().union(*(mask.makers for mask in masks if mask is not None))
        return bool(makers) and frozenset(self.titles(next(leaves(value, Tensor)))) == makers

    def titles(self, tensor: Tensor) -> set[str]:
        """Which calls make the masks that operations have put together to this one; another tensor is its own maker."""
        call = None if tensor.call == INPUT else self.network.calls[tensor.call]
        if call is None or call.layer.kind not in OPERATIONS:
            mask = self.masks.get(tensor)
            return {f"tensor {self.network.name_of(tensor)}"} if mask is None else set(mask.makers)
        if call.layer.kind == "op:ZerosLike":
            return set()
        read = list(leaves(call.args, Tensor))
        if call.layer.kind == "op:NotEqual":
            return {self.maker_of(read[0], constant_of(call))}
        return set().union(*map(self.titles, read))

    def maker_of(self, tensor: Tensor, value: float) -> str:
        """The call that masks where this tensor has this value. It may come later: Keras writes down layers in any order that their tensors allow."""
        for call in self.network.calls:
            if is_maker(call.layer) and masked_value(call.layer) == value and next(leaves(call.args, Tensor)) == tensor:
                return self.prefix + call.title
        return f"tensor {self.network.name_of(tensor)}"


OPERATIONS = frozenset("op:NotEqual op:Any op:LogicalOr op:LogicalAnd op:ExpandDims op:ZerosLike op:Concatenate".split())


def constant_of(call: Call) -> float:
    """The number that an operation compares a tensor with."""
    values = [*call.args, *call.kwargs.values(), *call.layer.options.values()]
    arrays = [value.read() if isinstance(value, Array) else value for value in values if not isinstance(value, Tensor)]
    numbers = [float(np.asarray(value)) for value in arrays if isinstance(value, int | float | np.ndarray) and np.size(value) == 1]
    return numbers[0] if len(numbers) == 1 else float("nan")


def operands(call: Call) -> list[Tensor]:
    """What a layer computes with, in the order of its arguments, whether they are given by place or by name."""
    keyword_arguments = [call.kwargs[name] for name in ("inputs", "query", "value", "key") if name in call.kwargs]
    return [*leaves(call.args, Tensor), *leaves(keyword_arguments, Tensor)]


def is_maker(layer: Layer) -> bool:
    """Whether a layer makes a mask of what it reads."""
    return layer.kind == "Masking" or bool(layer.options.get("mask_zero"))


def masked_value(layer: Layer) -> float:
    """What the steps hold that don't count."""
    return float(layer.options.get("mask_value") or 0.0) if layer.kind == "Masking" else 0.0


def reads_mask(layer: Layer) -> bool:
    """Whether a layer computes something else where it is given a mask, and has no rule for that."""
    if layer.kind == "TimeDistributed":
        return any(inner.kind in LENGTHS or reads_mask(inner) or inner.network is not None for inner in layer.within())
    return layer.kind in WITHOUT_RULE and (layer.kind != "GroupNormalization" or layer.dialect == "keras2")


def outputs_of(layer: Layer, masks: Masks) -> Masks:
    """The masks of a layer's outputs, from those of the tensors that it reads."""
    first = masks[0] if masks else None
    if layer.kind in RECURRENT:
        inner = layer.inner.get("forward_layer")
        options = inner.options if isinstance(inner, Layer) else layer.options
        return [first] if options.get("return_sequences") else []
    if layer.kind in JOINING:
        partly = layer.dialect == "keras3" and any(mask is None for mask in masks)  # then every step counts
        return [None if partly else joined_mask(layer, [mask for mask in masks if mask is not None])]
    if layer.kind == "TimeDistributed" and layer.dialect == "keras2" and any(map(is_maker, layer.within())):
        return [Mask(frozenset([layer.name]))]  # one for each step
    if layer.kind in PASSING or (layer.kind in PASSING_SINCE_3 and layer.dialect == "keras3"):
        return [first]
    return []


def joined_mask(layer: Layer, masks: Sequence[Mask]) -> Mask | None:
    """The mask of what a layer makes of several tensors. Of different lengths, or where steps are put behind others, no length says it."""
    if not masks:
        return None
    lengths = {mask.length for mask in masks}
    beside = layer.kind != "Concatenate" or layer.options.get("axis", -1) in (-1, 2)
    length = lengths.pop() if len(lengths) == 1 and beside else None
    return Mask(frozenset().union(*(mask.makers for mask in masks)), length, any(mask.lost for mask in masks))


def without_masks(network: Network) -> Network:
    """The same model with no mask given to any call, and without what only masks need."""
    layers: dict[int, Layer] = {}
    calls = [call_without_masks(call, layers) for call in network.calls]
    return without_unread(network, replace(network, calls=tuple(calls)))


def without_unread(before: Network, network: Network) -> Network:
    """The model without the calls that nothing depends on any more, where some of them read less than before."""
    if all(call.reads == same.reads for call, same in zip(network.calls, before.calls, strict=True)):
        return network
    calls, remaining = network.calls, needed_calls(network.calls, network.outputs)
    place = {number: rank for rank, number in enumerate(remaining)}

    def moved(tensor: Tensor) -> Tensor:
        return tensor if tensor.call == INPUT else Tensor(place[tensor.call], tensor.output)

    def again(call: Call) -> Call:
        args, kwargs = substitute((call.args, dict(call.kwargs)), Tensor, moved)
        return replace(call, args=args, kwargs=kwargs)

    return replace(network, calls=tuple(again(calls[number]) for number in remaining), outputs=tuple(map(moved, network.outputs)))


def call_without_masks(call: Call, layers: dict[int, Layer]) -> Call:
    """One call without its masks, also in the models within its layer. A layer called again stays one object."""
    layer = layers.setdefault(id(call.layer), layer_without_masks(call.layer))
    return replace(call, layer=layer, kwargs={name: value for name, value in call.kwargs.items() if not is_mask(name, value)})


def is_mask(name: str, value: object) -> bool:
    """Whether an argument is a mask that depends on the example; a constant one does not."""
    return name in ARGUMENTS and any(True for _ in leaves(value, Tensor))


def layer_without_masks(layer: Layer) -> Layer:
    """The layer as if it masked nothing, and all within it."""
    if layer.kind == "Masking":
        layer = replace(layer, options={})
    if layer.options.get("mask_zero"):
        layer = replace(layer, options={**layer.options, "mask_zero": False})
    return replace(layer.with_inner(layer_without_masks), network=layer.network and without_masks(layer.network))


def needed_calls(calls: Sequence[Call], outputs: Sequence[Tensor]) -> list[int]:
    """Numbers of the calls that outputs depend on, in order."""
    needed = {tensor.call for tensor in outputs}
    for number in reversed(range(len(calls))):
        if number in needed:
            needed |= {tensor.call for tensor in calls[number].reads}
    return sorted(needed - {INPUT})
