"""What several test files share: a real Neo4j in a folder of its own, started once for each worker of pytest-xdist."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from tests.command import Done, Run

if TYPE_CHECKING:
    from etl.store import Store

sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # torch imports it if it can: beside TensorFlow's LLVM it aborts the process
BOLT, HTTP = 17687, 17474  # the first worker's; two at a time, so that no server takes a port that another comes back to
HEAP = ("-Xms256m", "-Xmx1g")
QUICK = "-XX:TieredStopAtLevel=1"  # Java's programs live for seconds or minutes here: compiling for hours would cost more than it saves
PLANS = {"dbms.cypher.min_replan_interval": "1h"}  # else each statement is planned again after 10 s, since stores are filled and emptied all the time
FIRST = ("test_bulk", "test_docs", "test_fuzz", "test_store", "test_cli", "test_faults", "test_loading", "test_warm", "test_cifar", "test_browser")
FIRST += ("test_spark", "test_spark_cluster", "test_jobs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker begins one when the others are done. A file's tests stay with one worker (loadscope)."""
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The same weights and examples in every run: frameworks draw them by generators of their own, and some draw is close to any tolerance."""
    random.seed(0)  # Keras makes its seeds with it
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def etl_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ETL_HOME for this run; only the downloads outlive it (in ETL_TEST_CACHE, or a folder of the user's)."""
    from etl.store.local import configuration, fetch
    from etl.store.local.class_training import train

    def configure(home: Path, *others: Any) -> None:
        configuration.configure(home, *others)
        with (home / "conf" / "neo4j.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in PLANS.items())

    downloads = Path(os.environ.get("ETL_TEST_CACHE") or platformdirs.user_cache_path("neuron-etl-tests", appauthor=False))
    downloads.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp("etl_home")
    (folder / "cache").symlink_to(downloads, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETL_HOME", str(folder))
        for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
            patch.delenv(name, raising=False)
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        patch.setattr("etl.store.local.server.BOLT", BOLT + worker)
        patch.setattr("etl.store.local.server.HTTP", HTTP + worker)
        train()  # at once: else it would begin in the background when the tests have ended
        patch.setattr("etl.store.local.server.heap", lambda: HEAP)
        patch.setattr(fetch, "FLAGS", (*fetch.FLAGS, QUICK))
        patch.setattr("etl.store.local.server.configure", configure)
        yield folder


@pytest.fixture(scope="session")
def store(etl_home: Path) -> Iterator[Store]:
    """The local Neo4j, connected. It is shared: use `empty_store` unless other tests' nodes don't matter."""
    from etl.store import connect, stop

    try:
        with connect() as connected:
            yield connected
    finally:
        stop()


def clear(store: Store) -> None:
    """Delete all nodes."""
    with store.driver.session(database=store.database) as session:
        session.run("MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 20000 ROWS").consume()  # first: a neuron may have thousands
        session.run("MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS").consume()


def empty(store: Store) -> None:
    """Delete all nodes, constraints and indexes."""
    clear(store)
    with store.driver.session(database=store.database) as session:
        for row in session.run("SHOW CONSTRAINTS YIELD name").data():
            session.run("DROP CONSTRAINT $name", name=row["name"]).consume()
        for row in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'").data():
            session.run("DROP INDEX $name", name=row["name"]).consume()


@pytest.fixture
def cleared_store(store: Store) -> Store:
    """The local Neo4j without nodes. Constraints stay: without them, every statement would be planned anew, which takes longer than a small test."""
    clear(store)
    return store


@pytest.fixture
def empty_store(store: Store) -> Store:
    """The local Neo4j without nodes, constraints and indexes."""
    empty(store)
    return store


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""
    from etl.cli import main

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["etl", *map(str, arguments)])
        capsys.readouterr()
        code = main()
        return Done(code, *capsys.readouterr())

    return call
