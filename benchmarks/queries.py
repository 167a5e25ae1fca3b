"""How long stored queries take, each as a whole command, on models of different sizes in stores of their own.

    python benchmarks/queries.py [--only NAME,NAME] MODEL ...

Prints a table; docs/query_times.csv, from which docs/queries.md is made, has it in rounded seconds, with the models' sizes at its head. Questions
about a layer are asked of the one with the most weights, questions about a neuron of the model's first output; the example that is run forward is
random numbers; a model is compared with itself. What says in the end that it can't be answered is printed with its reason. The server has its default
settings.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from loading import fresh

from etl.store.queries import REQUIRED, Query, queries

SECONDS = 900  # longest that anybody waits here


def etl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "etl", *arguments], capture_output=True, text=True, timeout=SECONDS)


def answer(query: str, *values: str) -> list[dict[str, Any]]:
    """Its rows."""
    done = etl("query", query, "model=m", *values, "--format", "json")
    done.check_returncode()
    return list(json.loads(done.stdout))


def parameters(query: Query, layers: list[dict[str, Any]], graph: list[dict[str, Any]], picture: Path) -> list[str]:
    """What it is asked about: the layer with the most weights and one that it reads, the first output, random numbers."""
    largest = max(layers, key=lambda layer: layer["edges"])["name"]
    read = next(row["source"]["name"] for row in graph if row["target"] and row["target"]["name"] == largest)
    output = next(layer["begin"] for layer in reversed(layers) if layer["neurons"])
    names = {"layer": largest, "target": largest, "second": largest, "source": read, "first": read, "other": "m", "input": f"@{picture}"}
    wanted = [p for p in query.parameters if p.name == "layer" or (p.default is REQUIRED and p.name != "model")]
    return [f"{p.name}={output if p.type == 'NEURON' else names[p.name]}" for p in wanted]


def measure(path: str, names: list[str]) -> dict[str, str]:
    """Seconds of each query, or what it says instead of an answer."""
    told = dict[str, str]()
    with fresh(started=False), tempfile.TemporaryDirectory() as folder:
        etl("load", path, "--name", "m", "--quiet").check_returncode()
        layers, graph = answer("layers"), answer("layer_graph")
        picture = Path(folder) / "input.json"
        size = sum(layer["neurons"] for layer in layers if layer["type"] == "InputLayer")
        picture.write_text(json.dumps(np.random.default_rng(0).random(size).tolist()))
        for name in names:
            started = time.monotonic()
            try:
                done = etl("query", name, "model=m", *parameters(queries()[name], layers, graph, picture), "--format", "json")
                seconds = time.monotonic() - started
                told[name] = f"{seconds:.1f} s" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
            except subprocess.TimeoutExpired:
                told[name] = f"over {SECONDS} s"
            print(f"{Path(path).name}  {name}: {told[name]}", file=sys.stderr, flush=True)
    return told


def main() -> None:
    only, paths = (sys.argv[2].split(","), sys.argv[3:]) if sys.argv[1:2] == ["--only"] else (list(queries()), sys.argv[1:])
    columns = [measure(path, only) for path in paths]
    table = csv.writer(sys.stdout)
    table.writerow(["query", *(Path(path).name for path in paths)])
    table.writerows([name, *(column[name] for column in columns)] for name in only)


if __name__ == "__main__":
    main()
