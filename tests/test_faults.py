"""Loaded once, exactly, whatever dies: clients, connections and servers are really killed here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import psutil
import pytest

from etl import store as stores
from etl.errors import Conflict, StoreError
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j.live import load
from etl.store import Store, connect, connection, transactions
from etl.store import models as catalogue
from etl.store.local import server as local
from etl.store.local.startup import start
from tests import stored
from tests.proxy import COMMIT, Cut, Proxy
from tests.small import convolutional

pytestmark = pytest.mark.slow
LOADER = """
import os, sys
from etl.sinks.neo4j import live as neo4j
from etl.store import connect
from tests.small import convolutional
neo4j.EDGES, neo4j.NEURONS = 1500, 400
try:
    with connect(sys.argv[1]) as store:
        print(neo4j.load(convolutional(), store, "fault", progress=lambda *step: print(*step, flush=True)).outcome)
except KeyboardInterrupt as interrupt:
    print(interrupt)
    sys.exit(130)
"""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j, "EDGES", 1500)
    monkeypatch.setattr(neo4j, "NEURONS", 400)


def password() -> str:
    return stores.status().password_file.read_text().strip()


def loader(uri: str) -> subprocess.Popen[str]:
    """Another process that loads the same graph."""
    environment = os.environ | {"NEO4J_PASSWORD": password(), "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", LOADER, uri], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def through(store: Store, *, delay: float = 0.0, on_sent: Callable[[bytes], None] = lambda _: None) -> Iterator[Store]:
    """The same store behind a proxy, which begins its work when the connection stands."""
    with Proxy(store.uri) as proxy, connect(proxy.uri, password=password(), database=store.database) as behind:
        proxy.delay, proxy.on_sent = delay, on_sent
        yield behind


def nth(number: int, act: Callable[[], None], wanted: bytes = COMMIT) -> Callable[[bytes], None]:
    """Do something at the `number`-th piece that contains `wanted`, once."""
    seen = 0

    def on_sent(piece: bytes) -> None:
        nonlocal seen
        seen += wanted in piece
        if seen == number and wanted in piece:
            seen += 1
            act()

    return on_sent


def cut(*, answered: bool) -> None:
    raise Cut(answered=answered)


@pytest.mark.parametrize("answered", [True, False], ids=["acknowledgement lost", "commit lost"])
def test_a_connection_cut_at_commit_is_settled_by_the_ledger(cleared_store: Store, answered: bool) -> None:
    cuts = []

    def act() -> None:
        cuts.append(answered)
        cut(answered=answered)

    for number in (2, 7, 9, 14, 24):  # constraints, the model's own transaction, neurons, weights, the checks
        with through(cleared_store, on_sent=nth(number, act)) as behind:
            assert load(convolutional(), behind, "fault").outcome == "loaded"
        stored.check(cleared_store, convolutional(), "fault")
        catalogue.delete(cleared_store, "fault")
    assert len(cuts) == 5


def test_a_client_killed_anywhere_goes_on(cleared_store: Store) -> None:
    """Before a transaction is sent, while it is sent, and when COMMIT is on the way."""
    moments = [(6, COMMIT, False), (11, COMMIT, True), (4, COMMIT, True), (9, b"", False), (60, b"", True), (5, COMMIT, True)]
    for number, wanted, pass_on in moments:
        processes: list[subprocess.Popen[str]] = []

        def act(processes: list[subprocess.Popen[str]] = processes, pass_on: bool = pass_on) -> None:
            processes[0].kill()
            cut(answered=pass_on)

        with Proxy(cleared_store.uri, on_sent=nth(number, act, wanted)) as proxy:
            processes.append(loader(proxy.uri))
            processes[0].communicate()
        assert processes[0].returncode == -signal.SIGKILL
    assert load(convolutional(), cleared_store, "fault").outcome == "resumed"
    stored.check(cleared_store, convolutional(), "fault")


def test_an_interrupt_ends_between_batches_and_says_how_to_go_on(cleared_store: Store) -> None:
    with loader(cleared_store.uri) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("weights"):
                process.send_signal(signal.SIGINT)
                break
        said = process.stdout.read()
    assert process.returncode == 130
    assert "fault is loaded in part: the same command goes on with it." in said
    before = stored.counts(cleared_store)[1]
    assert load(convolutional(), cleared_store, "fault").outcome == "resumed"
    assert 0 < before < stored.counts(cleared_store)[1]
    stored.check(cleared_store, convolutional(), "fault")


@pytest.fixture
def mortal(etl_home: Path, tmp_path: Path) -> Iterator[tuple[Store, Path]]:
    """A server of the test's own, to be killed, behind an address that stays: a restart may find its port taken."""
    home = tmp_path / "neo4j"
    home.mkdir()
    server = start(home=home)
    with Proxy(str(server.uri)) as proxy, connect(proxy.uri, password=local.password(server)) as store:
        proxy.find = lambda: str(local.status(home).uri)
        yield store, home
    local.stop(home)


@pytest.mark.timeout(900)
def test_a_server_killed_in_the_middle_and_started_again(mortal: tuple[Store, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store, home = mortal
    starts: list[Thread] = []

    def kill(*, restart: bool) -> Callable[[str, int, int], None]:
        done = Event()

        def progress(stage: str, rows: int, _: int) -> None:
            if stage == "weights" and rows > 5000 and not done.is_set():
                done.set()
                pid = local.status(home).pid
                assert pid  # without one, psutil would take this process
                server = psutil.Process(pid)
                server.kill()
                assert local.ends(server)  # until then it looks as if it ran: a start would leave it as it is
                if restart:
                    starts.append(Thread(target=start, kwargs={"home": home}))
                    starts[0].start()

        return progress

    monkeypatch.setattr(transactions, "PATIENCE", 300.0)  # a busy machine takes its time to start a server
    assert load(convolutional(), store, "fault", progress=kill(restart=True)).outcome == "loaded"
    starts[0].join()
    stored.check(store, convolutional(), "fault")
    monkeypatch.setattr(transactions, "PATIENCE", 1.0)
    with pytest.raises(StoreError, match=r"does not answer.* other is loaded in part: the same command goes on with it"):
        load(convolutional(1), store, "other", progress=kill(restart=False))


@pytest.fixture(scope="module")
def own_folder(etl_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "cache").symlink_to(etl_home / "cache", target_is_directory=True)
    yield folder
    local.stop(folder / "neo4j")


@pytest.fixture
def own_home(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Neo4j of a user of its own, to be killed and stopped, as the test before left it."""
    monkeypatch.setenv("ETL_HOME", str(own_folder))


def test_a_server_that_dies_before_the_login_is_started_again(own_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found running, and gone a moment later, as where it has just been killed."""
    start()
    login, killed = connection._open, list[int]()

    def dying(*arguments: Any, **options: Any) -> Store:
        if not killed:
            killed.append(stores.status().pid or 0)
            os.kill(killed[0], signal.SIGKILL)
        return login(*arguments, **options)

    monkeypatch.setattr(connection, "_open", dying)
    with connect() as store:
        assert store.read("RETURN 1 AS one") == [{"one": 1}]
    assert stores.status().pid not in (None, *killed)


@pytest.mark.timeout(900)
def test_a_local_server_that_dies_is_started_again_by_the_load(
    own_home: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed while weights are written and while they are read back: the same call ends well, and nobody else gets the name in between."""
    monkeypatch.setattr(transactions, "CLAIM_SECONDS", 30.0)  # a server that has just started takes its time on a busy machine
    killed, refused = list[str](), list[str]()

    def progress(stage: str, rows: int, _: int) -> None:
        if stage == "checks" and not refused:  # by a server that is the second one
            with monkeypatch.context() as patch:
                patch.setattr(transactions, "CLAIM_SECONDS", 5.0)
                with pytest.raises(Conflict, match="by another process"), transactions.claimed(rival, "killed"):
                    pass
            refused.append(stage)
        if stage not in killed and (stage == "checks" or (stage == "weights" and rows > 5000)):
            killed.append(stage)
            os.kill(stores.status().pid or 0, signal.SIGKILL)

    with connect() as store, connect() as rival:
        assert load(convolutional(), store, "killed", progress=progress).outcome == "loaded"
        stored.check(store, convolutional(), "killed")
    assert killed == ["weights", "checks"] and refused
    assert caplog.text.count("has died: it is started again") == 2


@pytest.mark.timeout(900)
def test_a_local_server_that_was_stopped_stays_so(own_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "PATIENCE", 1.0)

    def stop(stage: str, rows: int, _: int) -> None:
        if stage == "weights" and stores.status().running:
            stores.stop()

    with connect() as store, pytest.raises(StoreError, match=r"stopped is loaded in part: the same command goes on with it"):
        load(convolutional(), store, "stopped", progress=stop)
    assert not stores.status().running
    with connect() as store:
        assert load(convolutional(), store, "stopped").outcome == "resumed"
        stored.check(store, convolutional(), "stopped")


def test_passing_faults_pass(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third transaction fails as a deadlock does, before or after its work; and somebody holds a lock for a while."""
    from neo4j import Transaction
    from neo4j.exceptions import TransientError

    commit, turns = Transaction.commit, iter(range(1000))

    def fail_at_times(transaction: Transaction) -> None:
        if next(turns) % 3 == 1:
            transaction.rollback()
            raise TransientError._hydrate_neo4j(code="Neo.TransientError.Transaction.DeadlockDetected", message="told by a test")
        commit(transaction)

    monkeypatch.setattr(Transaction, "commit", fail_at_times)
    rivals = []

    def hold(stage: str, done: int, total: int) -> None:
        if stage == "neurons" and done == total:
            session = cleared_store.driver.session(database=cleared_store.database)
            transaction = session.begin_transaction()
            transaction.run("MATCH (n:Neuron {id: 200}) SET n.held = true").consume()
            rivals.append(Timer(2.0, lambda: (transaction.rollback(), session.close())))
            rivals[0].start()

    assert load(convolutional(), cleared_store, "fault", progress=hold).outcome == "loaded"
    rivals[0].join()
    monkeypatch.undo()
    stored.check(cleared_store, convolutional(), "fault")


def test_a_far_server_is_only_slow(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j, "EDGES", 20_000)
    with through(cleared_store, delay=0.1) as behind:
        load(convolutional(), behind, "far")
    stored.check(cleared_store, convolutional(), "far")


def test_a_transaction_that_an_administrator_ends(cleared_store: Store) -> None:
    ended = []

    def end(stage: str, rows: int, _: int) -> None:
        if stage == "weights" and rows > 3000 and not ended:
            others = cleared_store.read(
                "SHOW TRANSACTIONS YIELD transactionId, currentQuery WHERE NOT currentQuery CONTAINS 'SHOW' RETURN transactionId AS id"
            )
            ended.extend(row["id"] for row in others)
            cleared_store.driver.execute_query("TERMINATE TRANSACTIONS $ids", ids=ended, database_=cleared_store.database)

    with suppress(StoreError):  # it may have been between two transactions
        load(convolutional(), cleared_store, "fault", progress=end)
    assert ended
    assert load(convolutional(), cleared_store, "fault").outcome in ("resumed", "unchanged")
    stored.check(cleared_store, convolutional(), "fault")
