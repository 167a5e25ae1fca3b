"""The local Neo4j and the connection to any: real servers, real processes, real faults."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from etl.errors import FetchError, StoreError
from etl.store import Store, connect, home, start, status, stop
from etl.store.driver_errors import explained
from etl.store.local import server as local
from etl.store.local.fetch import DEFAULT
from tests.conftest import QUICK


@pytest.fixture
def password(store: Store) -> str:
    return local.password(status())


@pytest.fixture(scope="module")
def second_home(store: Store) -> Iterator[Path]:
    """Room for a second server beside the shared one, whose ports are therefore taken."""
    home = Path(os.environ["ETL_HOME"]) / "a second home, é"
    home.mkdir()
    try:
        yield home
    finally:
        stop(home)


def test_a_running_server_is_left_as_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = status()
    monkeypatch.setattr(local, "launch", None)
    assert start() == before
    assert before.running
    assert store.is_local
    assert (store.uri, store.browser) == (before.uri, before.browser)


def test_the_versions_are_known(store: Store) -> None:
    assert store.version == (2026, 9, 0)
    assert store.bolt >= (6, 0)
    assert store.database == "neo4j"


def test_only_loopback_is_listened_on(store: Store) -> None:
    server = status()
    listening = [each.laddr for each in psutil.Process(server.pid).net_connections("inet") if each.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert {urlsplit(server.uri).port, urlsplit(server.browser).port} <= {address.port for address in listening}


def test_what_is_secret_is_readable_by_the_user_alone(store: Store, password: str) -> None:
    server = status()
    assert server.password_file.stat().st_mode & 0o777 == 0o600
    assert server.password_file.parent.stat().st_mode & 0o777 == 0o700
    assert len(password) >= 20
    assert all(password not in argument for argument in psutil.Process(server.pid).cmdline())


def test_the_server_is_its_own_session(store: Store) -> None:
    """So that neither Ctrl-C nor the end of the terminal reaches it."""
    server = status()
    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid


def test_reading_and_writing(empty_store: Store) -> None:
    counters = empty_store.write("UNWIND $rows AS row CREATE (:Store {id: row})", rows=[1, 2, 3])
    assert (counters.nodes_created, counters.properties_set) == (3, 3)
    assert empty_store.read("MATCH (n:Store) RETURN n.id AS id, $query AS query ORDER BY id DESC LIMIT 1", query="any name") == [
        {"id": 3, "query": "any name"}
    ]


def test_reading_can_not_write(empty_store: Store) -> None:
    with pytest.raises(StoreError, match="read access mode"):
        empty_store.read("CREATE (:Store)")
    assert empty_store.read("MATCH (n) RETURN count(n) AS nodes") == [{"nodes": 0}]


def test_notifications_and_retries_print_nothing(store: Store, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        store.read("MATCH (n:NoSuchLabel) RETURN id(n)")  # an unknown label, and a function that is deprecated
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_routed_address_works_too(store: Store, password: str) -> None:
    with connect(store.uri.replace("bolt://", "neo4j://"), password=password) as routed:
        assert routed.read("RETURN 1 AS one") == [{"one": 1}]
        assert not routed.is_local


def test_the_environment_names_the_store(store: Store, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URI": store.uri, "USERNAME": "neo4j", "PASSWORD": password, "DATABASE": "neo4j"}.items():
        monkeypatch.setenv(f"NEO4J_{name}", value)
    with connect() as named:
        assert (named.database, named.is_local) == ("neo4j", False)


MISTAKES: list[tuple[str, dict[str, str], str]] = [
    ("{bolt}", {"password": "not-the-password"}, "refuses the user or the password: set NEO4J_USERNAME and NEO4J_PASSWORD"),
    ("{bolt}", {"username": "nobody"}, "refuses the user or the password"),
    ("{bolt}", {"database": "no.such.database"}, "has no such database: set NEO4J_DATABASE"),
    ("{http}", {}, "HTTP port: take the one for Bolt"),
    ("{tls}", {}, "can't be trusted over TLS"),
    ("bolt://127.0.0.1:1", {}, "bolt://127.0.0.1:1 does not answer: start Neo4j there, correct NEO4J_URI"),
    ("neo4j://127.0.0.1:1", {}, "does not answer"),
    ("neo4j+s://nowhere.invalid", {}, "does not answer"),
    ("http://127.0.0.1:7474", {}, "must look like neo4j\\+s://host:7687"),
    ("localhost", {}, "^localhost must look like"),
    ("bolt//user:secret@host", {}, "^the address of Neo4j must look like"),
    ("bolt://127.0.0.1:port", {}, "must look like"),
    ("bolt://127.0.0.1:99999", {}, "must look like"),
    ("bolt://[::1", {}, "must look like"),
    ("bolt://neo4j:{password}@127.0.0.1", {}, "must hold no user or password"),
]


@pytest.mark.parametrize(("uri", "options", "message"), MISTAKES)
def test_a_mistake_is_one_line_without_the_password(store: Store, password: str, uri: str, options: dict[str, str], message: str) -> None:
    addresses = {"bolt": store.uri, "http": f"bolt://{urlsplit(store.browser or '').netloc}", "tls": store.uri.replace("bolt:", "bolt+s:")}
    with pytest.raises(StoreError, match=message) as caught:
        connect(uri.format(password=password, **addresses), **{"password": password} | options)
    assert "\n" not in str(caught.value)
    assert password not in str(caught.value)
    assert "not-the-password" not in str(caught.value)


def test_a_plain_address_elsewhere_gets_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreError):
        connect("bolt://nowhere.invalid", password="secret")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "bolt://nowhere.invalid is not encrypted" in caplog.text
    assert "secret" not in caplog.text


def answers(text: str) -> bytes:
    """A server's greeting in Bolt: SUCCESS {server, connection_id}, as one chunk."""
    words = ["server", text, "connection_id", "bolt-1"]
    message = b"\xb1\x70\xa2" + b"".join(bytes([0x80 + len(word)]) + word.encode() for word in words)
    return struct.pack(">H", len(message)) + message + b"\0\0"


@pytest.mark.parametrize(
    ("handshake", "greeting", "message"),
    [
        (b"\0\0\0\3", b"", "5.26 or later is needed"),  # Bolt 3: Neo4j 3.5
        (b"\0\0\4\4", answers("Neo4j/4.4.30"), "5.26 or later is needed"),
        (b"\0\0\4\5", answers("Neo4j/5.20.0"), "runs Neo4j/5.20.0: 5.26 or later is needed"),
        (b"\0\0\0\0", b"", "no Neo4j that this program can talk to"),  # nothing in common
        (b"SSH-2.0-OpenSSH\r\n", b"", "no Neo4j that this program can talk to"),
        (b"", b"", "does not answer"),  # hangs up
    ],
)
def test_what_is_no_neo4j_or_an_old_one_is_refused(handshake: bytes, greeting: bytes, message: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, peer.makefile("rb") as stream:
                    stream.read(20)
                    peer.sendall(handshake)
                    while greeting and (head := stream.read(2)):  # a message is chunks, then one of length 0
                        stream.read(int.from_bytes(head, "big"))
                        if head == b"\0\0":
                            peer.sendall(greeting)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(StoreError, match=message):
            connect(f"bolt://127.0.0.1:{listener.getsockname()[1]}", password="secret")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


START = """
import sys
from pathlib import Path
from etl.store import start
from etl.store.local import server as local

local.BOLT, local.HTTP = map(int, sys.argv[2:])
server = start(home=Path(sys.argv[1]))
print(server.pid, server.uri)
"""


def test_of_two_starts_at_once_one_is_killed_and_there_is_one_server(store: Store, second_home: Path) -> None:
    """It takes free ports, outlives the command that was killed while starting it, and the other command waits for it."""
    taken = [str(urlsplit(address).port) for address in (store.uri, store.browser)]
    command, environment = [sys.executable, "-c", START, str(second_home), *taken], os.environ | {"JAVA_TOOL_OPTIONS": QUICK}
    commands = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    while (booting := status(second_home)).pid is None:
        assert any(command.poll() is None for command in commands)
        time.sleep(0.05)
    starter = psutil.Process(booting.pid).ppid()
    assert starter in {command.pid for command in commands}
    os.kill(starter, signal.SIGKILL)
    said = {command.pid: command.communicate()[0] for command in commands}
    assert said.pop(starter) == ""
    assert set(said.values()) == {f"{booting.pid} {booting.uri}\n"}
    assert status(second_home) == booting
    assert {booting.uri, booting.browser}.isdisjoint({store.uri, store.browser})
    with connect_to(booting) as second:
        assert second.read("MATCH (n) RETURN count(n) AS nodes") == [{"nodes": 0}]


def test_the_local_server_is_started_by_the_next_command_where_it_has_gone(store: Store) -> None:
    from neo4j.exceptions import ServiceUnavailable

    with pytest.raises(StoreError, match="give the same command again, which starts the local Neo4j"), explained(store.uri):
        raise ServiceUnavailable("gone")


def test_browser_is_served(store: Store) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(store.browser or "") as page:
        assert b"<title>Neo4j Browser</title>" in page.read()


def test_a_killed_server_starts_again_with_what_it_held(second_home: Path) -> None:
    server = start(home=second_home)
    with connect_to(server) as held:
        held.write("CREATE (:Kept)")
    assert server.pid is not None
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not status(second_home).running  # the state file still names the process
    again = start(home=second_home)
    assert again.pid != server.pid
    assert (again.uri, again.browser) == (server.uri, server.browser)
    with connect_to(again) as held:
        assert held.read("MATCH (n:Kept) RETURN count(n) AS kept") == [{"kept": 1}]


DYING = """
import ctypes, socket, sys, threading, time
sockets = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("holds", flush=True)
threading.Thread(target=time.sleep, args=(5,)).start()
ctypes.CDLL(None).pthread_exit(None)  # as in a killed server's first moments: its first thread has ended and not all others
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process ends with its first thread")
def test_a_dying_server_gives_its_ports_to_the_next(second_home: Path) -> None:
    start(home=second_home)
    server = stop(second_home)
    ports = [str(urlsplit(address or "").port) for address in (server.uri, server.browser)]
    with subprocess.Popen([sys.executable, "-c", DYING, *ports], stdout=subprocess.PIPE) as dying:
        assert dying.stdout and dying.stdout.readline() == b"holds\n"
        while psutil.Process(dying.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        file = second_home / "server.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"pid": dying.pid}))
        again = start(home=second_home)
    assert (again.uri, again.browser) == (server.uri, server.browser)


def test_a_server_is_stopped_on_a_full_disk_too(second_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    start(home=second_home)
    with monkeypatch.context() as patch:
        patch.setattr(home, "write_private", full)
        stop(second_home)
    assert not status(second_home).running


def test_a_command_line_that_cannot_be_read_yet_is_no_end(second_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment after a process was started the system shows no command line of it; on a busy machine we look in that moment."""
    stop(second_home)
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "cmdline", lambda self: [])
        pid = start(home=second_home).pid
    assert status(second_home).pid == pid is not None


def test_the_first_password_is_set_once(tmp_path: Path) -> None:
    """Whether Neo4j takes it is seen by every test that starts one."""
    local.prepare(tmp_path)
    first = [(tmp_path / name).read_text() for name in ("password", "data/dbms/auth.ini")]
    assert first[0] not in first[1]
    assert not any((tmp_path / name).stat().st_mode & 0o077 for name in ("password", "data/dbms/auth.ini"))
    local.prepare(tmp_path)
    assert [(tmp_path / name).read_text() for name in ("password", "data/dbms/auth.ini")] == first
    (tmp_path / "data/dbms/auth.ini").unlink()  # as if it had been killed in between
    local.prepare(tmp_path)
    assert (tmp_path / "password").read_text() != first[0]
    assert (tmp_path / "data/dbms/auth.ini").is_file()


def test_a_changed_password_is_told(second_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(home=second_home)
    password = local.password(server)
    server.password_file.write_text("another password")
    monkeypatch.setattr("etl.store.home.neo4j", lambda: second_home)
    with pytest.raises(StoreError, match=r"refuses the password in .*password: put the one that was set there"):
        connect()
    server.password_file.write_text(password)
    connect().close()


def test_a_stop_is_complete(second_home: Path) -> None:
    server = start(home=second_home)
    assert server.pid is not None
    assert not stop(second_home).running
    assert not psutil.pid_exists(server.pid)
    assert not status(second_home).running
    assert not stop(second_home).running  # once more does no harm


def test_another_process_with_the_same_number_is_left_alone(second_home: Path) -> None:
    """After a restart of the machine any program may have the number that the state file names."""
    stop(second_home)
    state = second_home / "server.json"
    before = state.read_text()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        state.write_text(before.replace(f'"pid": {local._state(second_home)["pid"]}', f'"pid": {other.pid}'))
        assert local._state(second_home)["pid"] == other.pid
        assert not status(second_home).running
        stop(second_home)
        assert other.poll() is None
        other.kill()
    state.write_text(before)


def test_a_lost_password_file_is_told_before_anything_starts(second_home: Path) -> None:
    stop(second_home)
    file = second_home / "password"
    password = file.read_text()
    file.unlink()
    with pytest.raises(FetchError, match=r"password of the local Neo4j is gone .*: put it back, or delete"):
        start(home=second_home)
    home.write_private(file, password)


def test_a_start_that_fails_names_the_cause(second_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(second_home)
    monkeypatch.setattr(local, "heap", lambda: ("-Xmx1k",))
    with pytest.raises(FetchError, match=r"did not start: .*heap.* \(the whole log: .*logs\)"):
        start(home=second_home)
    assert not status(second_home).running


def test_a_server_that_is_killed_while_it_starts_is_told(second_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(server: local.Server, *_: object) -> bool:
        psutil.Process(server.pid).kill()
        return False

    stop(second_home)
    monkeypatch.setattr(local, "listens", kill)
    with pytest.raises(FetchError, match=r"did not start: another program ended it; try again"):
        start(home=second_home)
    assert not status(second_home).running


def test_what_the_driver_logs_is_not_printed() -> None:
    """Its warnings of each new try, in the first login too: what happened is told in one line."""
    code = "import logging\nfrom etl.store.local import server\nlogging.getLogger('neo4j.io').error('defunct connection')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr == ""


def test_the_admin_tool_answers(store: Store, etl_home: Path) -> None:
    done = local.admin(etl_home / "neo4j", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, DEFAULT)


def connect_to(server: local.Server) -> Store:
    return connect(server.uri, password=local.password(server))
