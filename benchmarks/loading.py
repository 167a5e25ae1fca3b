"""How fast graphs come into Neo4j: our two ways beside the usual loader, the import tool alone and NetworkX, in one run.

    python benchmarks/loading.py [MODEL ...]

Without models: convolutional networks of 0.2 to 60 million weights, made here. Prints a table and writes loading.png. `live` and `bulk` are whole
commands, Python's start and, of `bulk`, Neo4j's included; the usual loader (UNWIND of maps, 10,000 a transaction, one session) and `live` find a
server that was just started; `second` is the command without a mode, where a small model is in the store; each way has a store of its own.
Only the ratios of one run mean something: machines differ, and so do hours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from neo4j import ManagedTransaction
from rich.console import Console
from rich.table import Table

from etl.graph.batches import neuron_batches, weight_batches
from etl.graph.selection import graph_of
from etl.graph.traced import Graph
from etl.sinks.neo4j.import_files import stage
from etl.sinks.networkx import to_networkx
from etl.store import connect, home, stop
from etl.store.local.class_training import train
from etl.store.local.import_tool import build
from etl.store.local.startup import start

SIZES = (0.2, 1, 5, 20, 60)  # million weights
ROWS = 10_000  # of the usual loader's transactions
MOST = {"usual": 6e6, "live": 25e6, "networkx": 5e6}  # weights: slower ways are left out beyond
NEURONS = """
UNWIND $rows AS row
CREATE (n:Neuron:$(row.layer) {id: row.id, model: 'usual', layer: row.layer, index: row.index, channel: row.index[-1], op: row.op, bias: row.bias,
  activation: row.activation})
"""
WEIGHTS = """
UNWIND $rows AS row
MATCH (a:Neuron {id: row.source}) MATCH (b:Neuron {id: row.target})
CREATE (a)-[:WEIGHT {weight: row.weight, layer: row.layer, parameter: row.parameter}]->(b)
"""
Figures = tuple[float, float]  # seconds, peak memory in bytes


def network(folder: Path, millions: float) -> Path:
    """A convolutional network of about so many weights, in a file."""
    import keras

    side = int((millions * 1e6 / 2_200) ** 0.5) + 6
    layers = keras.layers
    model = keras.Sequential([keras.Input((side, side, 3)), layers.Conv2D(16, 3), layers.MaxPooling2D(), layers.Conv2D(32, 3), layers.Conv2D(8, 3)])
    path = folder / f"{millions:g}M.keras"
    model.save(path)
    return path


@contextmanager
def fresh(*, started: bool) -> Iterator[None]:
    """An ETL_HOME of its own, with the downloads that are there."""
    train()  # first: else it would begin beside what is measured
    downloads = home.cache()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").symlink_to(downloads, target_is_directory=True)
        before = os.environ.get("ETL_HOME")
        os.environ["ETL_HOME"] = folder
        try:
            if started:
                start()
            yield
        finally:
            stop()
            os.environ.pop("ETL_HOME") if before is None else os.environ.update(ETL_HOME=before)


def command(*words: str) -> Figures:
    """Seconds of a whole command of ours, and the most memory that its own process had."""
    began, most = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", "etl", *words, "--quiet"]) as process:
        while process.poll() is None:
            most = max(most, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"etl {' '.join(words)} failed")
    return time.perf_counter() - began, most


def timed(run: Callable[[], object]) -> Figures:
    """Seconds of something in this process, and the memory that is its own at the end."""
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - began
    return seconds, psutil.Process().memory_info().rss - before if kept is not None else 0


def usual(graph: Graph) -> Figures:
    def run() -> None:
        with connect() as store, store.driver.session(database=store.database) as session:
            session.run("CREATE CONSTRAINT neuron_id IF NOT EXISTS FOR (n:Neuron) REQUIRE n.id IS UNIQUE").consume()
            for statement, batches in ((NEURONS, neuron_batches(graph, ROWS)), (WEIGHTS, weight_batches(graph, ROWS))):
                for batch in batches:
                    session.execute_write(written, statement, batch.to_pylist())

    with fresh(started=True):
        return timed(run)


def written(transaction: ManagedTransaction, statement: str, rows: list[dict[str, Any]]) -> None:
    transaction.run(statement, rows=rows).consume()


def import_tool(graph: Graph) -> Figures:
    with fresh(started=False), tempfile.TemporaryDirectory() as folder:
        files = stage(graph, "m", home.private(Path(folder) / "import"))
        return timed(lambda: build(files, Path(folder), lambda *_: None))


def ours(path: Path, mode: str) -> Figures:
    with fresh(started=mode == "live"):
        return command("load", str(path), "--mode", mode)


def second(path: Path) -> Figures:
    """Into a server that runs and holds a small model, in the way that `auto` takes."""
    with fresh(started=True):
        command("load", str(Path(__file__).parents[1] / "tests/data/digits_cnn.h5"))
        return command("load", str(path))


def extraction(graph: Graph) -> Figures:
    def run() -> None:
        for _ in weight_batches(graph):
            pass

    return timed(run)


def measure(path: Path) -> dict[str, Figures]:
    """Each way, those left out that would take too long."""
    graph = graph_of(path)
    ways: dict[str, Callable[[], Figures]] = {
        "extraction": lambda: extraction(graph),
        "networkx": lambda: timed(lambda: to_networkx(graph)),
        "usual": lambda: usual(graph),
        "live": lambda: ours(path, "live"),
        "import tool": lambda: import_tool(graph),
        "bulk": lambda: ours(path, "bulk"),
        "second": lambda: second(path),
    }
    return {name: run() for name, run in ways.items() if graph.edges <= MOST.get(name, float("inf"))}


def show(found: dict[int, dict[str, Figures]]) -> None:
    table = Table("weights", "way", "seconds", "weights/s", "of the usual loader's rate", "of the import tool's", "memory (MB)")
    rates = [edges / ways["usual"][0] for edges, ways in found.items() if "usual" in ways]
    for edges, ways in found.items():
        for way, (seconds, memory) in ways.items():
            rate = edges / seconds
            to_usual = edges / ways["usual"][0] if "usual" in ways else rates[-1] if rates else None
            relations = [f"{rate / other:.2f}" if other else "" for other in (to_usual, edges / ways["import tool"][0])]
            table.add_row(f"{edges:,}", way, f"{seconds:.1f}", f"{rate:,.0f}", *relations, f"{memory / 1e6:.0f}" if memory else "")
    Console(width=120).print(table)


def draw(found: dict[int, dict[str, Figures]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for way in dict.fromkeys(way for ways in found.values() for way in ways):
        points: list[Any] = [(edges, *ways[way]) for edges, ways in found.items() if way in ways]
        left.plot([p[0] for p in points], [p[1] for p in points], "o-", label=way)
        if way in ("live", "bulk"):
            right.plot([p[0] for p in points], [p[2] / 1e6 for p in points], "o-", label=way)
    left.set(xscale="log", yscale="log", xlabel="weights", ylabel="time (s)", title="time of a load")
    right.set(xscale="log", ylim=(0, None), xlabel="weights", ylabel="peak memory (MB)", title="memory of the loading process")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    found: dict[int, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in [Path(name) for name in sys.argv[1:]] or [network(Path(folder), size) for size in SIZES]:
            found[graph_of(path).edges] = measure(path)
            show(found)
    draw(found, Path("loading.png"))


if __name__ == "__main__":
    main()
