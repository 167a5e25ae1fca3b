"""The graph as one GraphML file, for Gephi, NetworkX, yEd and the like: streamed, in flat memory.

Attributes are named as in the Parquet tables; a node's id is its neuron's. GraphML knows no lists: `index` is written as JSON, `[0,3,2]`.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from etl.graph.protocol import Graph
from etl.sinks.atomic_file import in_place, require_neurons
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches
from etl.streams import in_turn

ROWS = 1 << 17  # a hundred bytes each
WRITERS = 2  # threads that write lines: writing numbers as text takes most of the time
ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class GraphML:
    """A file for a graph, which appears when it is complete."""

    path: Path

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Write the file. Raises BadRequest where it can't be written, or where the graph has layers only."""
        require_neurons(graph)
        with in_place(self.path) as file:
            file.write(head(graph).encode())
            with ThreadPoolExecutor(WRITERS) as pool:
                for lines in in_turn(pool, neuron_lines, neuron_batches(graph, progress, rows=ROWS), WRITERS):
                    write_lines(file, lines)
                for lines in in_turn(pool, weight_lines, weight_batches(graph, progress, rows=ROWS), WRITERS):
                    write_lines(file, lines)
            file.write(b"</graph>\n</graphml>\n")
        return Written(graph.neurons, graph.edges)


def head(graph: Graph) -> str:
    """All before the first node: what the attributes are, and where the graph comes from."""
    number = "double" if graph.dtype.itemsize == 8 else "float"
    keys = [("node", "layer", "string"), ("node", "index", "string"), ("node", "op", "string"), ("node", "bias", number)]
    keys += [("node", "activation", "string"), ("edge", "weight", number), ("edge", "parameter", "long"), ("edge", "layer", "string")]
    properties = {"name": graph.model.name, "sha256": graph.model.sha256, "format": graph.model.format}
    keys += [("graph", name, "string") for name in properties]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">',
        *(f'<key id="{of[0]}{name[0]}" for="{of}" attr.name="{name}" attr.type="{kind}"/>' for of, name, kind in keys),
        f'<graph id={quoteattr(legal(graph.model.name))} edgedefault="directed">',
        *(f'<data key="g{name[0]}">{text(value)}</data>' for name, value in properties.items()),
    ]
    return "\n".join(lines) + "\n"


def neuron_lines(batch: pa.RecordBatch) -> pa.StringArray:
    """One <node> a neuron."""
    ids = batch.column("id").cast(pa.string())
    lists = batch.column("index")
    index = pc.binary_join(pa.ListArray.from_arrays(lists.offsets, lists.values.cast(pa.string())), ",")
    cells = [
        cell("nl", column_text(batch.column("layer"))),
        cell("ni", joined("[", index, "]")),
        cell("no", column_text(batch.column("op"))),
    ]
    cells += [cell("nb", batch.column("bias").cast(pa.string())), cell("na", column_text(batch.column("activation")))]
    return joined('<node id="', ids, '">', *cells, "</node>\n")


def weight_lines(batch: pa.RecordBatch) -> pa.StringArray:
    """One <edge> a weight."""
    source, target, weight, parameter = (batch.column(name).cast(pa.string()) for name in ("source", "target", "weight", "parameter"))
    number = joined('</data><data key="ep">', parameter)
    end = column_text(batch.column("layer"), '</data><data key="el">', "</data></edge>\n")
    return joined('<edge source="', source, '" target="', target, '"><data key="ew">', weight, pc.fill_null(number, ""), end)


def cell(key: str, values: pa.StringArray) -> pa.StringArray:
    """One attribute of each row, nothing where it is null."""
    return pc.fill_null(joined(f'<data key="{key}">', values, "</data>"), "")


def column_text(column: pa.DictionaryArray, before: str = "", after: str = "") -> pa.StringArray:
    """The text behind a column of names, and what stands before and after each."""
    texts = pa.array([before + text(name) + after for name in column.dictionary.to_pylist()], pa.string())
    return texts.take(column.indices)


def joined(*parts: str | pa.StringArray) -> pa.StringArray:
    """The parts of each row put together."""
    return pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in parts), "")


def write_lines(file: BinaryIO, lines: pa.StringArray) -> None:
    """The bytes of an array of text as they lie in memory."""
    first, last = lines.offset, lines.offset + len(lines)
    ends = memoryview(lines.buffers()[1]).cast("i")
    file.write(memoryview(lines.buffers()[2])[ends[first] : ends[last]])


def text(value: str) -> str:
    """A text between tags."""
    return escape(legal(value), {"\r": "&#13;"})


def legal(value: str) -> str:
    """A text with escapes for what XML has no way to write: control characters and halves of surrogate pairs."""
    return ILLEGAL.sub(lambda match: match[0].encode("unicode_escape").decode(), value)
