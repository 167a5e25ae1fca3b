"""The library's face: what the commands do, each in one call. A command is one of these calls and printing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from etl.api_graph import Graph, Progress, silent

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from etl.analysis.features import Features
    from etl.analysis.plots.model_plots import ModelPlots
    from etl.analysis.saving import Saved
    from etl.analysis.split import Written as SplitPart
    from etl.analysis.verify import Proof
    from etl.graph.selection import Selection
    from etl.sinks.neo4j.live import Loaded
    from etl.store.transactions import Store as Connection

Stage = Callable[[str], None]  # the name of something that takes a while and whose end isn't known


def read(
    source: str | PathLike[str] | Any,
    *,
    architecture: str | PathLike[str] | None = None,
    input_shapes: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] = (),
    layers: tuple[str | None, str | None] | None = None,
    granularity: str = "neuron",
    min_weight: float | None = None,
    top_k: int | None = None,
    fold: bool = False,
    ignore_masks: bool = False,
    constants: Mapping[str, Any] | None = None,
    lambdas: Mapping[str, str] | None = None,
    lengths: Sequence[int] = (),
) -> Graph:
    """A model as a graph, counted but not created.

    source        a file, a folder of tables (`x.parquet`, as `save` writes them), or a built model in memory.
                  Weights are read when they are needed: it must live as long
    architecture  what describes the layers of a file with weights only: its JSON, another model file, or `keras.applications:NAME`; for
                  PyTorch's weights a `.pt2`, or your own code that makes the module: `package.module:callable`, `script.py:callable?width=64`
    input_shapes  one a model input, in order or by name, where the file leaves them open or smaller ones will do: without the batch axis, or
                  (PyTorch, ONNX) with all axes of the file
    layers        the first and the last layer of a range, either may be None
    granularity   `neuron`, `channel` or `layer`
    min_weight    edges with a smaller |weight| are left out
    top_k         only the k edges with the largest |weight| into each neuron
    fold          merge BatchNormalization and lone Activation layers into the layer before, where that is exact
    ignore_masks  take masks as absent, which is an approximation
    constants     ONNX: values of inputs that are options and no data, by name: `{"sr": 16000}`
    lambdas       Keras: what Lambda layers compute from their input x, by name: `{"scale": "x / 127.5 - 1"}`
    lengths       Keras: how many steps of masked sequences count (-7: the last seven); one for all inputs that are masked, or one for each
    Raises BadFile, Unsupported (naming every layer without a rule), BadRequest.
    """
    from etl.errors import BadRequest
    from etl.graph.selection import Selection, graph_in, graph_of
    from etl.readers import read_live

    shapes: Any = tuple(tuple(shape) for shape in input_shapes)
    if isinstance(input_shapes, Mapping):
        shapes = {name: tuple(shape) for name, shape in input_shapes.items()}
    written = None if architecture is None else os.fspath(architecture)
    selection = Selection(shapes, layers, granularity, min_weight, top_k, fold, ignore_masks, written, constants or {}, lambdas or {}, tuple(lengths))
    if not isinstance(source, str | os.PathLike):
        live = read_live(source, ignore_masks=ignore_masks, constants=constants, input_shapes=shapes, lambdas=lambdas, lengths=selection.lengths)
        return Graph(graph_in(live, selection, counts=True), selection)
    if is_tables(Path(source)):
        from etl.graph.tables import read_tables

        if selection != Selection():
            raise BadRequest(f"{source} holds tables, which are taken as they are: leave out the options that choose of a model")
        return Graph(read_tables(Path(source)), selection)
    return Graph(graph_of(Path(source), selection, counts=True), selection, Path(source))


def is_tables(path: Path) -> bool:
    """Whether a path is a folder of tables, or is called like one."""
    return path.is_dir() and ((path / "layers.parquet").exists() or path.suffix == ".parquet")


def verify(
    path: str | PathLike[str],
    *,
    inputs: Sequence[NDArray[Any]] = (),
    store: Store | None = None,
    name: str | None = None,
    trust: bool = False,
    **options: Any,
) -> Proof:
    """Run the graph forward and compare with the framework's own prediction, layer by layer. The framework runs the file: it is trusted.

    inputs   one array a model input, (examples, *shape) or one example; none: two random examples
    store    let the model `name` (by default the file's stem) there compute the outputs instead
    trust    let the framework run code that is in the file too: of Lambda layers
    options  as for `read`
    Raises BadRequest for options whose graph isn't exact, NotInStore.
    """
    from etl.analysis import verify as analysis

    if store is None:
        return analysis.verify(Path(path), selected(**options), inputs, trust=trust)
    return analysis.verify_in_store(Path(path), store.connection, name, selected(**options), inputs, trust=trust)


def selected(**options: Any) -> Selection:
    """The options of `read` as one value."""
    from etl.graph.selection import Selection

    return Selection(**options)


def split(
    path: str | PathLike[str],
    at: str | Sequence[str],
    out: str | PathLike[str],
    *,
    allow_branches: bool = False,
    architecture: str | None = None,
    constants: Mapping[str, Any] | None = None,
) -> list[SplitPart]:
    """Write a model as several files into the folder `out`, each of which takes what the one before it gives. The framework runs the file.

    at         the layers to cut after
    constants  ONNX: values of inputs that are options and no data, by name; the parts have them within
    Raises BadRequest where the model can't be cut there, or the folder is in use.
    """
    from etl.analysis import split as analysis

    names = [at] if isinstance(at, str) else at
    return analysis.split(Path(path), names, Path(out), branches=allow_branches, architecture=architecture, constants=constants)


def features(
    path: str | PathLike[str],
    image: str | PathLike[str],
    *,
    preprocess: str | None = None,
    input_shapes: Sequence[Sequence[int]] = (),
    architecture: str | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Features:
    """What every layer of a model makes of a picture (or of a .npy array, which is taken as it is). The framework runs the file: it is trusted.

    preprocess  `imagenet`, `caffe`, `symmetric`, `unit` or `none`; by default as the architecture was trained
    constants   ONNX: values of inputs that are options and no data, by name
    """
    from etl.analysis import features as analysis

    options: dict[str, Any] = {"input_shapes": input_shapes, "architecture": architecture, "constants": constants}
    return analysis.features(Path(path), Path(image), preprocess=preprocess, **options)


def layer_kinds() -> list[dict[str, Any]]:
    """Every layer kind with a rule: family, kind, options."""
    from etl.rules.layers_page import layer_rows

    return list(layer_rows())


def connect(
    uri: str | None = None, *, username: str | None = None, password: str | None = None, database: str | None = None, stage: Stage = silent
) -> Store:
    """The Neo4j at `uri`, else at NEO4J_URI, else the local one, which is fetched and started when it is first asked for something.

    username, password, database  by default NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE; the local Neo4j knows its own
    stage                         is given the name of what takes a while
    Raises StoreError where the one that is named does not answer, or refuses.
    """
    store = Store(uri, {"username": username, "password": password, "database": database}, stage)
    if uri or os.environ.get("NEO4J_URI"):
        store.connection  # noqa: B018
    return store


class Rows(list[dict[str, Any]]):
    """The rows of an answer, one dict each, with the names of its columns."""

    def __init__(self, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
        super().__init__(rows)
        self.columns = tuple(columns)

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        import pyarrow as pa

        return pa.table({name: [row[name] for row in self] for name in self.columns})

    def pandas(self) -> pd.DataFrame:
        """As a data frame. Raises Missing where pandas isn't installed."""
        from etl.extras import needed

        needed("pandas")
        return self.arrow().to_pandas()


class Store:
    """A Neo4j: the models in it, and what can be asked of them. Close it, or use it in a `with`."""

    def __init__(self, uri: str | None, login: dict[str, str | None], stage: Stage) -> None:
        self._uri, self._login, self._stage = uri, login, stage
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"<etl.Store {self._connection.uri if self._connection else self._uri or 'not connected yet'}>"

    @property
    def connection(self) -> Connection:
        """The open connection: `read` and `write` run any statement. Raises StoreError, FetchError where it can't be opened."""
        if self._connection is None:
            from etl.store.connection import connect

            self._connection = connect(self._uri, self._stage, **self._login)
        return self._connection

    @property
    def uri(self) -> str:
        """The address that answers."""
        return self.connection.uri

    def load(self, graph: Graph, name: str | None = None, mode: str = "auto", replace: bool = False, progress: Progress = silent) -> Loaded:
        """Load a graph as the model `name`, by default the file's stem. Interrupted, the same call goes on where it was.

        mode     `live`: over Bolt, into any server; `bulk`: Neo4j's import tool, into the local one; `auto`: whichever is faster and possible
        replace  in place of another model of that name
        Raises Conflict, BadFile where a weight is NaN or infinite, BadRequest where there is no room for it, StoreError.
        """
        from etl.errors import BadRequest
        from etl.sinks.neo4j import mode as modes
        from etl.sinks.neo4j.live import Live
        from etl.sinks.neo4j.pace import remember

        graph._check_finite()
        name = graph.name if name is None else name
        if not name:
            raise BadRequest("the name is empty: give the model one, or leave it out for the file's stem")
        self.close()  # a bulk load restarts the server
        sink = modes.sink(graph._graph, name, mode, replace=replace, uri=self._uri, login=self._login, stage=self._stage)
        if isinstance(sink, Live):
            self._connection = sink.store
        loaded = sink.write(graph._graph, progress)
        alone = isinstance(sink, Live) or loaded.base == 0  # else the import tool has built other models too
        if loaded.outcome == "loaded" and alone and not (self._uri or os.environ.get("NEO4J_URI")):
            remember("live" if isinstance(sink, Live) else "bulk", graph._graph, loaded.seconds)
        return loaded

    def models(self) -> Rows:
        """One row a model, by name: name, state, counts, format, selection, sha256, loadedAt, etlVersion.

        Of a load that hasn't ended (state LOADING) stored_neurons and stored_edges say what is there; a replacement has the name of the model that
        it will replace. Where there is no local Neo4j yet, none is made, and nothing is fetched: raises StoreError where that would be needed.
        """
        from etl.errors import StoreError
        from etl.store import models
        from etl.store.local import fetch, server

        own = self._connection is None and not (self._uri or os.environ.get("NEO4J_URI"))
        nothing_there = own and server.is_new()
        if own and not nothing_there and not server.status().running and (size := fetch.to_fetch()):
            raise StoreError(
                f"the local Neo4j was deleted from the cache: `etl neo4j start` fetches it again ({size / 1e6:,.0f} MB), and its models can be listed"
            )
        rows = [] if nothing_there else models.listed(self.connection)
        sizes = ("neurons", "edges", "parameters", "stored_neurons", "stored_edges")
        return Rows(rows, ("name", "state", *sizes, "format", "selection", "sha256", "loadedAt", "etlVersion"))

    def query(self, name_or_cypher: str, **parameters: Any) -> Rows:
        """Ask a stored query by its name, or run any Cypher statement in a read transaction.

        parameters  the query's; `model` may be left out where the store has one model
        Raises QueryError for a wrong name or parameter, NotInStore for a model that isn't there.
        """
        from etl.store import queries

        if re.fullmatch(r"\w+", name_or_cypher):
            rows = queries.run(self.connection, name_or_cypher, parameters)
            return Rows(rows, [column.name for column in queries.find(name_or_cypher).columns])
        columns, rows = queries.run_cypher(self.connection, name_or_cypher, parameters)
        return Rows(rows, columns)

    def __getitem__(self, name: str) -> StoredModel:
        """A model by its name. Raises NotInStore."""
        from etl.store import models

        if models.find(self.connection, name) is None:
            raise models.not_in_store(self.connection, name)
        return StoredModel(self, name)

    def delete(self, name: str, progress: Progress = silent) -> None:
        """Delete a model, and what interrupted loads of it left; nothing else. Raises NotInStore, Conflict."""
        from etl.store import models

        models.delete(self.connection, name, progress)

    def close(self) -> None:
        """Close the connection; a local server keeps running."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class StoredModel:
    """One model in a store."""

    store: Store
    name: str

    def query(self, name: str, **parameters: Any) -> Rows:
        """A stored query about this model."""
        return self.store.query(name, model=self.name, **parameters)

    @property
    def plot(self) -> ModelPlots:
        """Its pictures, each a figure: `.plot.adjacency()`, `.plot.paths("digit/4")` ..."""
        from etl.analysis.plots.model_plots import ModelPlots

        return ModelPlots(self.store.connection, self.name)

    def measure(self, measure: str, *, weighted: bool = False, write: str | None = None, progress: Progress = silent) -> Rows:
        """One number a neuron, in the order of ids: id, layer, index, value (None where undefined). `laplacian_spectrum`: number, value.

        weighted  `eigenvector`: along the signed weights, which it leaves aside without this
        write     a property to store the values in, on the neurons
        Raises BadRequest for a measure that there isn't, or a property that can't be.
        """
        from etl.analysis.model_measures import measured

        return Rows(*measured(self.store.connection, self.name, measure, weighted=weighted, write=write, progress=progress))

    def features(
        self,
        path: str | PathLike[str],
        image: str | PathLike[str],
        *,
        preprocess: str | None = None,
        input_shapes: Sequence[Sequence[int]] = (),
        architecture: str | None = None,
        constants: Mapping[str, Any] | None = None,
        progress: Progress = silent,
    ) -> Features:
        """What this model's file makes of a picture, as `etl.features`, stored as `value` on the neurons. Raises NotInStore for another file."""
        options: dict[str, Any] = {"input_shapes": input_shapes, "architecture": architecture, "constants": constants}
        maps = features(path, image, preprocess=preprocess, **options)
        self.set_values(maps, progress=progress)
        return maps

    def set_values(self, maps: Features, *, progress: Progress = silent) -> None:
        """Store what `etl.features` gave as `value` on the neurons, in place of an earlier example's."""
        from etl.analysis.features import write

        write(self.store.connection, self.name, maps, progress)

    def tag(self, parts: Sequence[SplitPart]) -> None:
        """Number the parts that `etl.split` wrote on the Layer nodes: `part`. Raises Conflict where the model is of another file."""
        from etl.analysis.split import tag

        tag(self.store.connection, self.name, parts)

    def save(
        self,
        out: str | PathLike[str],
        *,
        source: str | PathLike[str],
        architecture: str | None = None,
        progress: Progress = silent,
    ) -> list[Saved]:
        """Write the model as a Keras file: a copy of the one it was loaded from, with the weights and biases that its graph has now.

        out           its suffix says the format; in the other one of .h5 and .keras the framework writes it, which runs the file: it is trusted
        source        the file that the model was loaded from
        architecture  as it was loaded with, where the file has weights only
        Returns one row a layer. A weight that is gone becomes 0. Raises BadRequest for another file; Conflict naming what no file can say.
        """
        from etl.analysis.saving import save

        return save(self.store.connection, self.name, Path(source), Path(out), architecture=architecture, progress=progress)

    def delete(self) -> None:
        """Delete the model and all that belongs to it; nothing else."""
        self.store.delete(self.name)
