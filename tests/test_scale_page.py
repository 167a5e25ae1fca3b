"""docs/scale.md, run from its top to its end in one Spark; what its SQL answers is what NumPy and NetworkX say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import etl
import etl.spark
from tests import spark as sparks
from tests.test_docs import PAGES, blocks

PAGE = next(page for page in PAGES if page.name == "scale.md")
HERE = Path(__file__).parent
DIGITS = HERE / "data" / "digits_cnn.h5"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the page's program leaves; `answers` are those of its SQL, in their order."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "tests").symlink_to(HERE, target_is_directory=True)
    with sparks.session(tmp_path_factory.mktemp("spark"), "local[2,4]") as spark, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names: dict[str, Any] = {"__name__": "__main__", "answers": []}
        for language, text in blocks(PAGE):
            if language == "python":
                exec(compile(text, PAGE.name, "exec"), names)
            elif language == "sql":
                names["answers"].append(spark.sql(text).toPandas())
        yield names


@pytest.fixture(scope="module")
def weights() -> pd.DataFrame:
    return etl.read(DIGITS).weights().read_pandas()


def test_weight_statistics(page: dict[str, Any]) -> None:
    import h5py

    found = page["answers"][0].set_index("layer")
    with h5py.File(DIGITS) as file:
        for layer in ("strokes", "shapes", "digit"):
            kernels: list[np.ndarray] = []
            file["model_weights"][layer].visititems(lambda name, item, kernels=kernels: kernels.append(item[()]) if "kernel" in name else None)
            (kernel,) = kernels
            expected = [kernel.size, kernel.mean(dtype=float), kernel.std(dtype=float, ddof=1), kernel.min(), kernel.max()]
            assert found.loc[layer].tolist() == pytest.approx(expected, rel=1e-5), layer
    assert set(found.index) == {"strokes", "shapes", "digit"}


def test_strength_and_degrees(page: dict[str, Any], weights: pd.DataFrame) -> None:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(1306))
    graph.add_weighted_edges_from(weights[["source", "target", "weight"]].astype({"weight": float}).itertuples(index=False))
    strength, degrees = page["answers"][1].set_index("id").sort_index(), page["answers"][2].set_index("degree")
    np.testing.assert_allclose(strength.incoming, [graph.in_degree(n, "weight") for n in range(1306)], atol=1e-5)
    np.testing.assert_allclose(strength.outgoing, [graph.out_degree(n, "weight") for n in range(1306)], atol=1e-5)
    for column, degree in (("into_them", graph.in_degree()), ("out_of_them", graph.out_degree())):
        counted = pd.Series([d for _, d in degree if d]).value_counts()
        assert degrees[column][degrees[column] > 0].to_dict() == counted.to_dict()


def test_thresholds(page: dict[str, Any], weights: pd.DataFrame) -> None:
    found = page["answers"][3].set_index("layer")
    assert found.weights.to_dict() == weights.layer.value_counts().loc[found.index].to_dict()
    assert found.kept.sum() == (weights.weight.abs() >= np.float32(0.1)).sum()


def test_dead_sources(page: dict[str, Any]) -> None:
    """The network has none; of its two strongest weights into each neuron it has."""
    assert page["answers"][4].empty
    pruned = etl.read(DIGITS, top_k=2)
    spark, text = page["spark"], [text for language, text in blocks(PAGE) if language == "sql"][4]
    etl.spark.weights(spark, DIGITS, top_k=2).createOrReplaceTempView("weights")
    read = set(pruned.weights().read_all()["source"].to_pylist())
    assert spark.sql(text).toPandas().id.tolist() == [n for n in range(1296) if n not in read]


def test_paths(page: dict[str, Any], weights: pd.DataFrame) -> None:
    ways = np.ones(1306)
    for target, sources in weights.groupby("target").source:
        ways[target] = ways[sources].sum()
    assert page["paths"] == ways[1296:].sum()


def test_forward(page: dict[str, Any]) -> None:
    pixels = np.array(json.loads((HERE / "data" / "four.json").read_text("utf-8")))
    (expected,) = etl.read(DIGITS).forward(pixels.reshape(8, 8, 1))
    np.testing.assert_allclose([row.value for row in page["answer"]], expected[0], rtol=1e-6, atol=1e-12)
