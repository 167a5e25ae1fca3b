"""The pictures of a model in the store: each function asks what it needs and gives a figure, or a page (`*_page`) for a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etl.errors import BadRequest
from etl.store.addresses import address_of, neuron_id

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from etl.store.transactions import Store

Rows = list[dict[str, Any]]
SMALL = 24, 60  # neurons and weights of a network that is drawn whole


class ModelPlots:
    """Pictures of one model. `full` draws every layer by itself, however large the picture gets; else it fits on a screen of 1600 x 1200."""

    def __init__(self, store: Store, name: str, progress: Callable[[str, int, int], None] = lambda unit, done, total: None) -> None:
        self.store, self.name, self.progress = store, name, progress
        axes = {row["name"]: row["axes"] for row in self.read("axes")}
        self.layers = [layer | {"axes": axes.get(layer["name"])} for layer in self.ask("layers")]

    def ask(self, query: str, **values: Any) -> Rows:
        """The rows of a stored query about this model."""
        from etl.store import queries

        return queries.run(self.store, query, {"model": self.name, **values})

    def read(self, name: str) -> Rows:
        """The rows of a statement that only pictures need."""
        from cypher import text

        return self.store.read(text("plot", name), model=self.name)

    def neurons(self) -> int:
        """How many the model has. Raises BadRequest where it was loaded without any."""
        count = sum(layer["neurons"] for layer in self.layers)
        if not count:
            raise BadRequest(f"{self.name} was loaded as layers only: `etl plot layers` draws those")
        return int(count)

    def bins(self, source: str | None, target: str | None, bins: int) -> tuple[Rows, str]:
        """Cells of the adjacency matrix, and their title. Raises BadRequest where there are no weights between those layers."""
        self.neurons()
        rows = self.ask("adjacency_bins", source=source, target=target, bins=bins)
        ends = "" if source is None and target is None else f" from {source or 'any layer'} to {target or 'any layer'}"
        if not rows:
            raise BadRequest(f"{self.name} has no weights{ends}: `etl query layer_graph` shows which layer feeds which")
        return rows, f"{self.name}: adjacency matrix" + (f", {source or 'all layers'} to {target or 'all layers'}" if ends else "")

    def adjacency(self, *, source: str | None = None, target: str | None = None, bins: int = 500) -> Figure:
        """Heat map of the adjacency matrix, or of the block of it from one layer to another, in about `bins` cells a side."""
        from etl.analysis.plots.adjacency import heat_map

        rows, title = self.bins(source, target, bins)
        return heat_map(rows, self.layers, title, whole=source is None and target is None)

    def adjacency_page(self, *, source: str | None = None, target: str | None = None, bins: int = 500) -> Any:
        """The same, to zoom and point into."""
        from etl.analysis.plots import interactive

        rows, title = self.bins(source, target, bins)
        return interactive.heat_map(rows, self.layers, title, whole=source is None and target is None)

    def histograms(self, layer: str | None, bins: int) -> tuple[Rows, Rows, str]:
        """Bins of layers' weights, of a layer's kernels, and their title. Raises BadRequest where there are no stored weights."""
        self.neurons()
        layer_bins = self.ask("weight_histogram", layer=layer, bins=bins)
        if not layer_bins:
            raise BadRequest(f"{self.name}: {layer or 'it'} has no stored weights to draw")
        kernels = self.ask("kernel_histogram", layer=layer, bins=bins) if layer else []
        return layer_bins, kernels, f"{self.name}: stored weights" + (f" of {layer}" if layer else " of each layer")

    def weights(self, *, layer: str | None = None, bins: int = 50, full: bool = False) -> Figure:
        """Histograms of the stored weights: of every layer, or of one layer and each of its kernels."""
        from etl.analysis.plots import histograms

        layer_bins, kernels, title = self.histograms(layer, bins)
        statistics = self.ask("weight_statistics", layer=layer)
        if layer:
            return histograms.kernel_histograms(layer_bins, kernels, statistics, title, full=full)
        return histograms.layer_histograms(layer_bins, statistics, title, full=full)

    def weights_page(self, *, layer: str | None = None, bins: int = 50) -> Any:
        """The same, to zoom and point into."""
        from etl.analysis.plots import interactive

        layer_bins, kernels, title = self.histograms(layer, bins)
        return interactive.kernel_histograms(layer_bins, kernels, title) if layer else interactive.layer_histograms(layer_bins, title)

    def degrees(self, *, full: bool = False) -> Figure:
        """How many neurons have how many weights, in and out."""
        from etl.analysis.plots import distributions

        self.neurons()
        return distributions.degrees(self.ask("degree_distribution"), self.layers, f"{self.name}: degrees", full=full)

    def strengths(self, *, full: bool = False) -> Figure:
        """How the sums of neurons' weights are distributed, in and out."""
        from etl.analysis.plots import distributions

        rows = self.ask("strength", limit=self.neurons())
        return distributions.strengths(rows, self.layers, f"{self.name}: strengths", full=full)

    def centrality(self, measure: str, *, weighted: bool = False, classes: Sequence[str] = (), full: bool = False) -> Figure:
        """How a measure is distributed, and its value for each neuron of the output layers, the last one's called as `classes` say."""
        from etl.analysis.measures import measure_of
        from etl.analysis.plots import distributions
        from etl.store import stored_graph as stored

        self.neurons()
        edges = stored.edges(self.store, stored.span(self.store, self.name), self.progress)
        values = measure_of(measure, weighted=weighted)(*edges)
        label = ("weighted " if weighted else "") + measure.replace("_", " ")
        title = f"{self.name}: {label}, layer by layer"
        return distributions.centrality(values, self.layers, self.outputs(), classes, label, title, full=full)

    def outputs(self) -> Rows:
        """The layers that the model returns; the last one with neurons where it was loaded in part."""
        return self.read("outputs") or [layer for layer in self.layers if layer["neurons"]][-1:]

    def layer_graph(self, *, full: bool = False) -> Figure:
        """The layers and which feeds which."""
        from etl.analysis.plots import layers

        return layers.layer_graph(self.ask("layer_graph"), f"{self.name}: layers", full=full)

    def paths(
        self,
        neuron: int | str,
        called: str | None = None,
        *,
        names: Mapping[int, str] | None = None,
        layer: str | None = None,
        limit: int = 8,
        full: bool = False,
    ) -> Figure:
        """The strongest paths into a neuron; a network of a few neurons whole.

        neuron  its address, such as digit/4, or its id
        called  what it is called, a class perhaps; by default its address
        names   what neurons of a small network are called, by id
        Raises BadRequest where no path leads there.
        """
        self.neurons()
        goal = neuron_id(neuron, self.layers, self.name) if isinstance(neuron, str) else neuron
        called = called or (names or {}).get(goal) or address_of(goal, self.layers)
        from etl.analysis.plots import paths

        edges = sum(row["edges"] for row in self.layers)
        if layer is None and self.neurons() <= SMALL[0] and edges <= SMALL[1]:
            return paths.whole_network(self.read("small_network"), self.layers, {**(names or {}), goal: called}, f"{self.name}: every weight")
        rows = self.ask("strongest_paths", neuron=goal, layer=layer, limit=limit)
        if not rows:
            raise BadRequest(f"{self.name} has no path from {layer or 'an input'} to {called}")
        title = f"{self.name}: the {len(rows)} strongest paths into {called}" if len(rows) > 1 else f"{self.name}: the strongest path into {called}"
        return paths.main_paths(rows, self.layers, called, title + (f" from {layer}" if layer else ""), full=full)
