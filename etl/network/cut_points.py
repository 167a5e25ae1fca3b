"""Where a model can be cut, and the parts between the cuts. A nested model counts as one layer, unless it is cut inside.

A part is a level: what is reached through as many cuts. So parts follow each other, each takes what the one before it gives, and layers that
are called several times or lie on several ways need no rules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from etl.errors import BadRequest, did_you_mean
from etl.network import INPUT, Network, Tensor
from etl.network.nesting import flat
from etl.network.ranges import after, before, maker


@dataclass(frozen=True)
class ModelPart:
    """Calls between two cuts.

    calls            numbers of the network's calls, in order
    inputs, outputs  tensors that it takes and gives, in order: its outputs are the next one's inputs
    """

    calls: tuple[int, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def cut_points(network: Network) -> list[str]:
    """Layers whose removal separates the model's inputs from its outputs, in order: those after which `split` cuts without branches."""
    return Wiring(network).clean()


def layers_above(network: Network, name: str) -> list[str]:
    """A layer and all that depends on it, in order. Raises BadRequest where there is no such layer."""
    wiring = Wiring(network)
    wiring.check_names([name])
    calls = after([set(map(maker, read)) for read in wiring.reads], wiring.makers_of({name}))
    return list(dict.fromkeys(wiring.name(number) for number in sorted(calls)))


def parts(network: Network, at: Sequence[str], *, branches: bool = False) -> list[ModelPart]:
    """The parts of a model that is cut after all calls of some layers, in order; k cuts in a chain give k + 1.

    branches  pass what goes around a cut from part to part
    Raises BadRequest where there is no such layer, where nothing comes after it, or, without `branches`, where a way goes around the cuts.
    """
    wiring = Wiring(network)
    wiring.check_names(at)
    for name in at:
        if name not in wiring.cuttable():
            why = "it is an input" if name in wiring.inputs else "nothing comes after it"
            raise BadRequest(f"--at {name}: {why}, so there is nothing to cut")
    if not branches and (around := wiring.around(set(at))):
        raise BadRequest(wiring.message(at, around))
    height = wiring.levels(set(at))
    inputs = tuple(Tensor(INPUT, number) for number in range(len(network.inputs)))
    borders = [inputs, *wiring.borders(height), network.outputs]
    calls = [tuple(n for n in sorted(wiring.used) if height[n] == level) for level in range(len(borders) - 1)]
    return [ModelPart(*part) for part in zip(calls, borders[:-1], borders[1:], strict=True)]


def unfolded(network: Network, at: Sequence[str]) -> tuple[Network, Set[str]]:
    """The network with the layers of those nested models that have one of the names inside, and the models' names.

    Raises BadRequest where a model is to be cut inside and after it as well.
    """
    opened = {model for name in at for model in models_around(network, name)}
    if both := opened & set(at):
        raise BadRequest(f"--at {min(both)} and a layer inside it: name the last layer inside in the place of {min(both)}")
    return flat(network, lambda name: path(f"{name}/")[:-1] in opened), opened


def models_around(network: Network, name: str) -> Iterator[str]:
    """The nested models that a layer is inside, the outermost first."""
    if name not in {layer.name for layer in network.layers()}:
        for layer in network.layers():
            if layer.network is not None and name.startswith(f"{layer.name}/"):
                yield layer.name
                yield from (f"{layer.name}/{inner}" for inner in models_around(layer.network, name.removeprefix(f"{layer.name}/")))


def path(name: str) -> str:
    """`outer:1/inner` -> `outer/inner`: the layer, whichever call of the models around it is meant."""
    return re.sub(r":\d+(?=/)", "", name)


class Wiring:
    """What a network's calls read, looked at once.

    reads  of each call; used: numbers of the calls that the outputs depend on; names: of each call's layer; inputs: their names
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.reads = [call.reads for call in network.calls]
        needed = before([set(map(maker, read)) for read in self.reads], set(map(maker, network.outputs)))
        self.used = {number for number in needed if number >= 0}
        self.names = [path(call.layer.name) for call in network.calls]
        self.inputs = [model_input.name for model_input in network.inputs]

    def name(self, number: int) -> str:
        """The layer or input that makes what `maker` numbers."""
        return self.names[number] if number >= 0 else self.inputs[-1 - number]

    def makers_of(self, names: Set[str]) -> set[int]:
        """Numbers of the calls of some layers, and of the inputs among them."""
        calls = {number for number, name in enumerate(self.names) if name in names}
        return calls | {-1 - number for number, name in enumerate(self.inputs) if name in names}

    def cuttable(self) -> list[str]:
        """Layers with something before and after them, in order."""
        read = {tensor.call for number in self.used for tensor in self.reads[number]} - {INPUT}
        return list(dict.fromkeys(self.names[number] for number in sorted(read)))

    def levels(self, cuts: Set[str]) -> list[int]:
        """How many cuts lie before each call, on the way with the most of them."""
        height: list[int] = []
        for read in self.reads:
            below = (height[t.call] + (self.names[t.call] in cuts) for t in read if t.call != INPUT)
            height.append(max(below, default=0))
        return height

    def borders(self, height: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """For each level but the first, the tensors made below it and needed from there on, in the order of their calls."""
        top = max((height[n] for n in self.used), default=0)
        needed = dict.fromkeys(self.network.outputs, top + 1)  # a tensor -> the highest level that needs it
        for n in self.used:
            needed.update({t: max(height[n], needed.get(t, 0)) for t in self.reads[n]})
        order = sorted(needed, key=lambda t: (t.call, t.output))
        return [tuple(t for t in order if (0 if t.call == INPUT else height[t.call]) < level <= needed[t]) for level in range(1, top + 1)]

    def around(self, cuts: Set[str]) -> list[str]:
        """Calls whose outputs go around the cuts: what the parts would have to pass on besides the cuts' own outputs."""
        crossing: Iterable[Tensor] = (t for border in self.borders(self.levels(cuts)) for t in border)
        return list(dict.fromkeys(self.network.name_of(t) for t in crossing if t.call == INPUT or self.names[t.call] not in cuts))

    def clean(self) -> list[str]:
        """Layers that nothing goes around, in order."""
        return [name for name in self.cuttable() if not self.around({name})]

    def check_names(self, names: Sequence[str]) -> None:
        """Raises BadRequest for a name that no layer of the model has."""
        for name in names:
            if name not in (*self.names, *self.inputs):
                raise BadRequest(f"there is no layer {name}{did_you_mean(name, (*self.inputs, *self.names))}: `etl plan` lists them")

    def message(self, at: Sequence[str], around: Sequence[str]) -> str:
        """What is wrong with cuts, and the clean points nearest to the first that is none."""
        clean, cuttable = self.clean(), self.cuttable()
        wrong = next((name for name in at if name not in clean), at[0])
        place = cuttable.index(wrong)
        near = [*[n for n in clean if cuttable.index(n) < place][-1:], *[n for n in clean if cuttable.index(n) > place][:1]]
        advice = f"cut at {' or '.join(near)} instead" if near else "no layer of this model is a clean point"
        ways = ", ".join(around[:3]) + (" ..." if len(around) > 3 else "")
        return f"--at {wrong} is inside a branch: {ways} goes around it; {advice}, or make parts with several inputs with --allow-branches"
