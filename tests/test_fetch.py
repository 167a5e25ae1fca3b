"""Fetching Neo4j: real jars, a real repository on loopback, no network at all, a disk that is too small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from etl.errors import FetchError
from etl.store.local import fetch as fetching
from etl.store.local.fetch import DEFAULT, digest, fetch, locked

NAME = f"neo4j-{DEFAULT}"
SOME_JAR = f"neo4j-kernel-api-{DEFAULT}.jar"


@pytest.fixture(scope="session")
def jars(etl_home: Path) -> Path:
    """The folder with all jars, complete."""
    return fetch().jars


@pytest.fixture
def home(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ETL_HOME of the test's own, its jars links to the shared ones."""
    folder = tmp_path / "cache" / NAME
    folder.mkdir(parents=True)
    for jar in jars.glob("*.jar"):
        (folder / jar.name).symlink_to(jar)
    monkeypatch.setenv("ETL_HOME", str(tmp_path))
    return tmp_path


class Repository(BaseHTTPRequestHandler):
    """A Maven repository that serves the shared jars, with the faults that a test asks for."""

    folder: Path
    fault: str
    asked: list[str]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name.endswith(".sha1"):
            self.send_error(404)
            return
        self.asked.append(name)
        content = (self.folder / name).read_bytes()
        if self.fault == "other content":
            content = content[:-1] + b"!"
        if self.fault == "server error":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        broken_off = self.fault == "breaks off" or (self.fault == "breaks off once" and len(self.asked) == 1)
        self.wfile.write(content[: len(content) // 2] if broken_off else content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def repository(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    """The repository, made jgo's `central` by jgo's own settings file, as a company's mirror is."""

    class Served(Repository):
        folder, fault, asked = jars, "", []

    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings = tmp_path / "jgo.conf"
        settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}/maven2\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield Served
        server.shutdown()
        thread.join()


def test_what_is_complete_is_found_at_once(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By sizes and times: the lock file alone is read."""
    read: list[Path] = []
    monkeypatch.setattr(fetching, "digest", lambda path: read.append(path) or digest(path))
    assert fetch().jars == jars
    assert read == [fetching.lock_file(DEFAULT)]


def test_the_lock_names_every_jar_once() -> None:
    for version in fetching.MAIN_CLASS:
        rows = locked(version)
        assert len({jar.name for jar in rows}) == len(rows) > 200
        assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in rows)


def broken(home: Path, content: bytes) -> Path:
    """Put `content` into the place of one jar."""
    jar = home / "cache" / NAME / SOME_JAR
    jar.unlink()
    jar.write_bytes(content)
    return jar


def test_a_half_downloaded_jar_alone_is_fetched_again(home: Path, jars: Path, repository: type[Repository]) -> None:
    whole = (jars / SOME_JAR).read_bytes()
    jar = broken(home, whole[:1000])
    said: list[str] = []
    fetch(said.append)
    assert jar.read_bytes() == whole
    assert repository.asked == [SOME_JAR]
    assert said == [f"fetching Neo4j {DEFAULT}: 1 of 1 files, {len(whole) / 1e6:.0f} of {len(whole) / 1e6:.0f} MB"]
    assert sorted(path.name for path in jar.parent.iterdir() if path.suffix != ".jar") == ["verified"]


def test_a_jar_that_was_changed_later_is_replaced(home: Path, jars: Path, repository: type[Repository]) -> None:
    fetch()
    assert repository.asked == []
    whole = (jars / SOME_JAR).read_bytes()
    jar = broken(home, whole[:-1] + b"!")  # of the same size
    fetch()
    assert jar.read_bytes() == whole
    assert repository.asked == [SOME_JAR]


def test_a_jar_of_somebody_elses_goes(home: Path, repository: type[Repository]) -> None:
    fetch()
    stranger = home / "cache" / NAME / "stranger-1.0.jar"
    stranger.write_bytes(b"PK")
    fetch()
    assert not stranger.exists()
    assert repository.asked == []


def test_a_download_that_breaks_off_is_tried_again(home: Path, jars: Path, repository: type[Repository]) -> None:
    jar = broken(home, b"")
    repository.fault = "breaks off once"
    fetch()
    assert jar.read_bytes() == (jars / SOME_JAR).read_bytes()
    assert repository.asked == [SOME_JAR] * 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("other content", "is not the file this program was tested with: check the mirror"),
        ("breaks off", "can't be fetched .*: connect to the network for the first start, or set NEO4J_URI"),
        ("server error", "can't be fetched"),
    ],
)
def test_a_bad_repository_is_told_and_leaves_nothing(home: Path, repository: type[Repository], fault: str, message: str) -> None:
    jar = broken(home, b"")
    repository.fault = fault
    with pytest.raises(FetchError, match=message) as caught:
        fetch()
    assert SOME_JAR in str(caught.value)
    assert "\n" not in str(caught.value)
    assert jar.read_bytes() == b""
    assert not (jar.parent / "verified").exists()


def test_a_home_that_can_not_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ETL_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(FetchError, match="set ETL_HOME to a folder that can be written"):
        fetch()


FETCH = """
from etl.errors import FetchError
from etl.store.local.fetch import fetch
try:
    print(len(list(fetch().jars.glob("*.jar"))))
except FetchError as error:
    print(error)
"""


def isolated(home: Path, *prefix: str) -> str:
    """What a fetch in a process of its own says, run behind `prefix`."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", FETCH], env=os.environ | {"ETL_HOME": str(home)}, capture_output=True, text=True, check=True
    ).stdout.strip()


def can_unshare(what: str) -> bool:
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", what, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare("--net"), reason="needs the right to make a process without network")
def test_without_network(home: Path, tmp_path: Path) -> None:
    fetch()
    assert isolated(home, "unshare", "--net") == str(len(locked(DEFAULT)))  # nothing to fetch, nothing asked
    first_use = isolated(tmp_path / "empty", "unshare", "--net")
    assert "can't be fetched (ConnectionError): connect to the network for the first start, or set NEO4J_URI" in first_use
    assert "\n" not in first_use


@pytest.mark.skipif(not can_unshare("--mount"), reason="needs the right to mount a small disk")
def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    mounted = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=50m none "{tmp_path}" && exec "$@"', "sh")
    said = isolated(tmp_path, *mounted)
    assert said.startswith(f"Neo4j needs {sum(jar.size for jar in locked(DEFAULT)) / 1e6:.0f} MB in {tmp_path}")
    assert said.endswith("make room, or set ETL_HOME to another folder.")
