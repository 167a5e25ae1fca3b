"""Tables for Neo4j's import tool: Parquet files whose columns are named as the tool's headers are, and what it is told of them.

With --id-type=actual the tool takes ids as they are: node records are numbered 0..n-1 in the order of the files. Properties are of Arrow's own types,
lists among them: where a column is text the tool drops what is empty, and leaves booleans text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etl import schema
from etl.store.local.import_tool import LISTED, OPTIONS, Staged

KINDS = {"bool": "boolean", "int": "long", "float": "double", "str": "string", "DateTime": "datetime"}  # of properties, by their types
NATIVE = {"boolean": pa.bool_(), "long": pa.int64(), "double": pa.float64(), "string": pa.string()}
WEIGHTS = (":START_ID", ":END_ID", "weight:{number}", "parameter:long", "layer:string")  # of an exported table of weights, column by column

FEW = ("model:string", "layer:string", "op:string", "activation:string", ":LABEL")  # columns of few values, for which a dictionary pays


class Tables:
    """Tables in a folder. Node records are numbered in the order in which nodes are added."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.arguments = folder, list[str]()
        self.nodes = self.relationships = 0  # added so far

    def add_nodes(self, name: str, tables: Iterable[pa.Table]) -> None:
        """Add nodes, whose first column is the number of their record."""
        file, rows = self.write(name, tables)
        self.nodes += rows
        if rows:
            self.arguments.append(f"--nodes={file}")

    def add_relationships(self, kind: str, name: str, tables: Iterable[pa.Table]) -> None:
        """Add relationships of one type."""
        file, rows = self.write(name, tables)
        self.relationships += rows
        if rows:
            self.arguments.append(f"--relationships={kind}={file}")

    def add_weights(self, files: Sequence[Path], dtype: np.dtype[Any]) -> None:
        """Add weights that are written already, as files of `schema.weights` whose ends are records: a header says what their columns are."""
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        self.relationships += rows
        if rows:
            header = self.folder / f"{self.unused('weights_header')}.csv"
            columns = ",".join(WEIGHTS).format(number="float" if dtype == np.float32 else "double")  # a float is kept as one, in half the room
            header.write_text(f"{columns}\n{','.join(schema.weights(dtype).names)}\n", "utf-8")
            self.arguments.append(f"--relationships=WEIGHT={','.join(map(str, (header, *files)))}")

    def add_pairs(self, kind: str, ends: Sequence[tuple[int, int]]) -> None:
        """Add relationships without properties between records."""
        both = np.array(ends, np.int64).reshape(-1, 2)
        self.add_relationships(kind, kind.lower(), [pa.table({":START_ID": both[:, 0], ":END_ID": both[:, 1]})])

    def add_entries(self, entries: Sequence[tuple[Sequence[str], Mapping[str, Any]]]) -> list[int]:
        """Add a few nodes, labels and properties of any kind: their records. Raises TypeError for a property that the tool can't make."""
        records, alike = [0] * len(entries), dict[tuple[Any, ...], list[int]]()
        for place, (labels, properties) in enumerate(entries):
            kinds = tuple((name, kind_of(value)) for name, value in sorted(properties.items()) if value is not None)
            alike.setdefault((tuple(labels), kinds), []).append(place)
        for (labels, kinds), places in alike.items():
            ids = range(self.nodes, self.nodes + len(places))
            columns = {f"{name}:{kind}": column(kind, [entries[place][1][name] for place in places]) for name, kind in kinds}
            table = {":ID": pa.array(ids, pa.int64()), **columns, ":LABEL": repeated(LISTED.join(labels), len(places))}
            self.add_nodes(labels[0].lower(), [pa.table(table)])
            for place, record in zip(places, ids, strict=True):
                records[place] = record
        return records

    def write(self, name: str, tables: Iterable[pa.Table]) -> tuple[Path, int]:
        """One file, and how many rows it has; without any table none is made."""
        file, rows, writer = self.folder / f"{self.unused(name)}.parquet", 0, None
        try:
            for table in tables:
                few = [column for column in FEW if column in table.column_names]
                writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd", use_dictionary=few)
                writer.write_table(table)
                rows += table.num_rows
        finally:
            if writer:
                writer.close()
        return file, rows

    def unused(self, name: str) -> str:
        """A file's name that none of ours has."""
        return name if not list(self.folder.glob(f"{name}.*")) else f"{name}_{len(self.arguments)}"

    def staged(self) -> Staged:
        """What the import tool is told, and must report."""
        return Staged(self.folder, (*self.arguments, *OPTIONS), self.nodes, self.relationships)


def repeated(value: str, count: int) -> pa.Array:
    """A column of one value."""
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([value], pa.string())).cast(pa.string())


def kind_of(value: Any) -> str:
    """The import tool's name of a property's type. Raises TypeError where it has none."""
    if isinstance(value, list):
        return f"{kind_of(value[0])}[]" if value else "string[]"
    if type(value).__name__ not in KINDS:
        raise TypeError(type(value).__name__)
    return KINDS[type(value).__name__]


def column(kind: str, values: Sequence[Any]) -> pa.Array:
    """A property as the tool reads it. Raises TypeError for an empty text, which it drops."""
    if kind == "datetime":
        return pa.array([value.iso_format() for value in values], pa.string())
    if kind == "string" and "" in values:
        raise TypeError("an empty text")
    item = NATIVE[kind.removesuffix("[]")]
    return pa.array(values, pa.list_(item) if kind.endswith("[]") else item)
