"""Nested models taken apart: the calls inside them become calls of the outer model, `outer/inner`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from etl.network import INPUT, Call, Layer, Network, Tensor, flow, substitute

VIEW = "view"  # the kind of calls that hand on what they are given: a nested model's inputs, and the model itself


@dataclass(frozen=True)
class Outputs(Sequence[Tensor]):
    """The outputs of a call, however many there are."""

    call: int

    def __getitem__(self, output: Any) -> Any:
        return Tensor(self.call, output)

    def __len__(self) -> int:
        raise TypeError("nobody knows how many outputs a call has before it runs")


def flat(network: Network, opened: Callable[[str], bool] = lambda title: True, *, views: bool = False) -> Network:
    """The same network without nested models, or without those whose title `opened` takes: their layers are called `outer/inner`.

    views  keep a call for each nested model and each of its inputs, which hands on what it is given
    """
    calls: list[Call] = []
    renamed: dict[tuple[int, str], Layer] = {}

    def moved(layer: Layer, place: str, label: str) -> Layer:
        """One layer in its place: the same object however often it is called there."""
        if not place:
            return layer
        key = id(layer), place
        if key not in renamed:
            renamed[key] = replace(layer, name=place + layer.name, label=label + (layer.label or layer.name))
        return renamed[key]

    def add(call: Call) -> Outputs:
        calls.append(call)
        return Outputs(len(calls) - 1)

    def visit_in(place: str, label: str) -> Callable[[Call, Mapping[Tensor, Tensor]], Any]:
        def visit(call: Call, reach: Mapping[Tensor, Tensor]) -> Any:
            layer, title = call.layer, place + call.title
            if layer.network is None or not opened(title):
                args, kwargs = substitute((call.args, dict(call.kwargs)), Tensor, reach.__getitem__)
                return add(replace(call, layer=moved(layer, place, label), args=args, kwargs=kwargs))
            inside = f"{title}/", f"{label}{layer.name}/"
            values: Sequence[Tensor] = [reach[tensor] for tensor in call.reads]
            if views:
                kinds = (Layer(inner.name, VIEW, dialect=layer.dialect, type="InputLayer") for inner in layer.network.inputs)
                values = [add(Call(moved(view, *inside), (tensor,)))[0] for view, tensor in zip(kinds, values, strict=True)]
            outputs = flow(layer.network, values, visit_in(*inside)) or []
            if views:
                view_of_model = moved(Layer(layer.name, VIEW, dialect=layer.dialect, type=layer.kind), place, label)
                return add(Call(view_of_model, tuple(outputs), number=call.number))
            return outputs

        return visit

    outputs = flow(network, [Tensor(INPUT, number) for number in range(len(network.inputs))], visit_in("", "")) or []
    return Network(tuple(calls), network.inputs, tuple(outputs))
