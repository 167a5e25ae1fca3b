"""What a graph would cost in Neo4j, and what would fit where it is too much.

Measured on two cores: a network of 53,290 neurons and 4,586,624 weights took 545 MB, 359 MB through the import tool, as these constants say; the
rates are those of cold servers, and a machine's own loads say how much faster or slower it is (`Pace`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import EtlError
from etl.graph.inputs import input_shape_list
from etl.graph.rows import Row, channels_of
from etl.graph.selection import Selection, graph_in, read_selected

if TYPE_CHECKING:
    from etl.graph.protocol import Graph
    from etl.graph.traced import Graph as TracedGraph
    from etl.network import Model

RELATIONSHIP, RECORD, BLOCK = 34, 41, 64  # bytes: of a weight, of a record of properties, of a block of text
BYTES_PER_EDGE = RELATIONSHIP + 2 * RECORD  # its properties in two records
BYTES_PER_NEURON = 15 + 5 * RECORD + 64  # the node, its properties, its place in the index of ids
# Letters of a text beside a float in one record, in records at all (Neo4j packs them in 6 bits), and in a block of the local store.
SHORT, INLINE, BLOCK_LETTERS = 14, 36, 56
LIVE_RATE, LIVE_START = 100_000, 2.0  # weights a second on a server that was just started; seconds before the first
BULK_RATE, BULK_START = 440_000, 12.0  # the same, from nothing to a server that runs
AGAIN_RATE, AGAIN_START = 200_000, 8.0  # what a store holds already is read back and built again; the stop of its server
NEURON_ROW, EDGE_ROW = 12, 5  # bytes of a row in the import tool's files
LOG_PER_NEURON, LOG_PER_EDGE, MOST_LOG = 600, 235, 2_300_000_000  # transaction logs, of which Neo4j keeps the last 2 GiB
IMPORT_BYTES, IMPORT_BYTES_PER_NEURON = 1_300_000_000, 40  # of memory: as the tool itself estimates, and Java
LIVE_BYTES = 300_000_000  # of memory that a server takes when it gets to work
COUNTED_EDGES = 20_000_000  # up to which a channel graph is counted edge by edge, in about a second
MOST_EDGES = 250_000_000  # beyond, a load takes hours and no query over the whole graph answers in minutes
SMALLEST_SIDE = 16  # of a suggested input


@dataclass(frozen=True)
class Pace:
    """How many times as long loads take on a machine as they did on the measured one."""

    live: float = 1.0
    bulk: float = 1.0


MEASURED = Pace()


@dataclass(frozen=True)
class Cost:
    """What the store would take on disk, in bytes, and how long a load would take, in seconds."""

    store_bytes: int
    live_seconds: float
    bulk_seconds: float

    @property
    def seconds(self) -> float:
        return min(self.live_seconds, self.bulk_seconds)


@dataclass(frozen=True)
class Needs:
    """What a load takes, or a machine has free, in bytes.

    disk        the store, and what is there only while it is made: files for the import tool, or transaction logs
    memory      of Neo4j's processes, besides what it has already
    page_cache  in which all neurons should be, since weights are added to any of them
    """

    disk: int
    memory: int
    page_cache: int


@dataclass(frozen=True)
class Held:
    """How much of other models a store holds."""

    neurons: int = 0
    edges: int = 0


NOTHING = Held()


@dataclass(frozen=True)
class Offer:
    """A smaller graph of the same model: the option that makes it, and its size. `most`: it may be less."""

    option: str
    neurons: int
    edges: int
    most: bool = False


def cost(graph: Graph, pace: Pace = MEASURED, held: Held = NOTHING) -> Cost:
    """What a graph would cost, in a store that holds so much already."""
    neurons, edges = graph.neurons, graph.edges
    again = AGAIN_START + (held.neurons + held.edges) / AGAIN_RATE if held.neurons else 0.0
    return Cost(
        store_bytes=sum(row_bytes(row) for row in graph.rows),
        live_seconds=pace.live * (LIVE_START + (neurons + edges) / LIVE_RATE),
        bulk_seconds=pace.bulk * (BULK_START + (neurons + edges) / BULK_RATE + again),
    )


def row_bytes(row: Row, *, floats: bool = False) -> int:
    """What a layer takes in the store. Its name stands beside every weight; a long text lies in blocks of its own, and a record points there.

    floats: the weights are kept as such, as the import tool does
    """
    far, longest = text_bytes(row.name), row.name + "/" + ",".join(str(size - 1) for size in row.shape)
    records = 1 if far or (floats and len(row.name) <= SHORT) else 2
    return row.neurons * (BYTES_PER_NEURON + far + text_bytes(longest)) + row.edges * (RELATIONSHIP + records * RECORD + far)


def text_bytes(text: str) -> int:
    """What a text takes outside the records of properties."""
    return 0 if len(text) <= INLINE else -(-len(text.encode()) // BLOCK_LETTERS) * BLOCK


def needs(graph: Graph, *, bulk: bool, held: Held = NOTHING) -> Needs:
    """What a load of the graph takes of the machine that Neo4j runs on. held: what a store holds already, which a bulk load builds again."""
    if bulk:
        neurons, edges = graph.neurons + held.neurons, graph.edges + held.edges
        store = sum(row_bytes(row, floats=graph.dtype == "float32") for row in graph.rows)
        disk = store + held.neurons * BYTES_PER_NEURON + held.edges * BYTES_PER_EDGE + neurons * NEURON_ROW + edges * EDGE_ROW
        return Needs(disk, memory=IMPORT_BYTES + neurons * IMPORT_BYTES_PER_NEURON, page_cache=0)
    logs = min(graph.neurons * LOG_PER_NEURON + graph.edges * LOG_PER_EDGE, MOST_LOG)
    return Needs(disk=cost(graph).store_bytes + logs, memory=LIVE_BYTES, page_cache=graph.neurons * BYTES_PER_NEURON)


def lacking(graph: Graph, free: Needs, *, bulk: bool, held: Held = NOTHING) -> str | None:
    """What a load would lack on a machine with so much free, with the numbers; None where nothing. `plan` says it, `load` refuses with it."""
    need = needs(graph, bulk=bulk, held=held)
    if need.disk > free.disk:
        return f"needs about {gigabytes(need.disk)} of disk, {gigabytes(free.disk)} are free"
    if need.memory > free.memory:
        return f"needs about {gigabytes(need.memory)} of memory for Neo4j, {gigabytes(free.memory)} are free"
    if need.page_cache > free.page_cache:
        return (
            f"has {graph.neurons:,} neurons, which need a page cache of {gigabytes(need.page_cache)} while weights are added, and Neo4j's has "
            f"{gigabytes(free.page_cache)} (an empty store is loaded through the import tool, which needs none)"
        )
    return None


def most_edges(graph: Graph, free: Needs, *, bulk: bool) -> int:
    """How many edges a graph like this one may have, so that nothing lacks and queries over the whole of it answer: this one's, scaled."""
    need = needs(graph, bulk=bulk)
    share = min((have / want for have, want in zip(vars(free).values(), vars(need).values(), strict=True) if want), default=1.0)
    return min(MOST_EDGES, graph.edges if share >= 1 else int(graph.edges * share))


def quicker(graph: Graph, pace: Pace = MEASURED, held: Held = NOTHING, times: float = 1.0) -> bool:
    """Whether the import tool would be so many times as quick as a running server."""
    expected = cost(graph, pace, held)
    return expected.bulk_seconds * times < expected.live_seconds


def gigabytes(count: float) -> str:
    return f"{count / 1e9:,.2f} GB"


def density(graph: Graph) -> dict[str, float | None]:
    """Per row: its edges of all that could be between it and the rows that it reads, looked up through views; None for inputs and views."""
    neurons = {row.name: row.neurons for row in graph.rows}
    possible = {row.name: row.neurons * sum(neurons[name] for name in read) for row, read in sources(graph)}
    return {row.name: row.edges / possible[row.name] if possible[row.name] else None for row in graph.rows}


def sources(graph: Graph) -> Iterator[tuple[Row, frozenset[str]]]:
    """Each row with the rows of neurons that it reads, looked up through views."""
    rows = {row.name: row for row in graph.rows}

    def makers(name: str) -> frozenset[str]:
        row = rows[name]
        if row.neurons or name in waiting:
            return frozenset([name])
        waiting.add(name)
        return frozenset().union(*(makers(source) for source in row.inputs))

    for row in graph.rows:
        waiting: set[str] = set()
        yield row, frozenset().union(*(makers(name) for name in row.inputs)) if row.edges else frozenset()


def offers(path: Path, selection: Selection, graph: TracedGraph, most: int) -> Iterator[Offer]:
    """Smaller graphs of the model with at most that many edges, one by each option that makes one."""
    model = read_selected(path, selection)  # the whole one: the graph's may be a range of its layers
    yield from islice(smaller_inputs(model, selection, graph, most), 1)
    if graph.edges <= COUNTED_EDGES:
        yield from counted(model, "--granularity channel", replace(selection, granularity="channel"), most)
    else:
        yield from channels(graph, most)
    yield from fewer_layers(graph, most)
    yield from strongest(graph, most)


def channels(graph: Graph, most: int) -> Iterator[Offer]:
    """The channel graph, bounded by shapes alone: every channel of a layer with every one of those that it reads, and no more than its weights."""
    width = {row.name: channels_of(row)[0] if row.neurons else 0 for row in graph.rows}
    edges = sum(min(row.edges, width[row.name] * sum(width[name] for name in read)) for row, read in sources(graph))
    if edges <= most:
        yield Offer("--granularity channel", sum(width.values()), edges, most=True)


def counted(model: Model, option: str, selection: Selection, most: int) -> Iterator[Offer]:
    """The graph of a selection, if it can be made and is small enough."""
    try:
        graph = graph_in(model, selection, counts=True)
    except EtlError:  # a top that is made for one input size, say
        return
    if graph.edges <= most:
        yield Offer(option, graph.neurons, graph.edges)


def smaller_inputs(model: Model, selection: Selection, graph: TracedGraph, most: int) -> Iterator[Offer]:
    """The same model on smaller inputs, largest first, channels as they are; none of a model whose input can't change."""
    if any(entry.fixed for entry in model.network.inputs):
        return
    shapes = input_shape_list(graph.model.network, selection.input_shapes)
    side = max(max(shape[:-1] or shape) for shape in shapes)
    halves = {side >> k for k in range(1, side.bit_length())}
    sides = [s for s in halves | set(range(32, side, 32)) if s >= SMALLEST_SIDE and graph.edges * (s / side) ** 2 < 1.5 * most]
    for smaller in sorted(sides, reverse=True)[:6]:
        cut = tuple(scaled(shape, smaller / side) for shape in shapes)
        option = " ".join(f"--input-shape {','.join(map(str, shape))}" for shape in cut)
        yield from counted(model, option, replace(selection, input_shapes=cut), most)


def scaled(shape: tuple[int, ...], by: float) -> tuple[int, ...]:
    """A smaller input shape: every axis but the channels, a single axis itself."""
    sides, channels = (shape[:-1], shape[-1:]) if len(shape) > 1 else (shape, ())
    return (*(max(1, round(n * by)) for n in sides), *channels)


def fewer_layers(graph: Graph, most: int) -> Iterator[Offer]:
    """The longest run of layers from the input on that is small enough."""
    neurons = edges = 0
    last: Row | None = None
    for row in graph.rows:
        if edges + row.edges > most:
            break
        neurons, edges, last = neurons + row.neurons, edges + row.edges, row
    if last and edges:
        yield Offer(f"--layers ..{last.label}", neurons, edges)


def strongest(graph: Graph, most: int) -> Iterator[Offer]:
    """The most edges into each neuron with which all of them fit."""

    def edges(k: int) -> int:
        return sum(min(row.edges, row.neurons * k) for row in graph.rows)

    most_into_one = max((row.edges // row.neurons for row in graph.rows if row.edges), default=0)
    k = bisect_right(range(1, most_into_one + 1), most, key=edges)
    if k:
        yield Offer(f"--top-k {k}", graph.neurons, edges(k), most=True)
