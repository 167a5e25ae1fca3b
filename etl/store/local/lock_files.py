"""Writes the lock files: run by hand when Neo4j's version changes, `python -c "from etl.store.local.lock_files import write; write('2026.09.0')"`."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etl.store.local.fetch import DOWNLOADS, digest, lock_file

BROWSER = "org.neo4j.client:neo4j-browser:5.24.0"
# Neo4j's import tool reads Parquet with these; its own list of dependencies leaves them out.
PARQUET = (
    "com.fasterxml.woodstox:woodstox-core:7.1.0",
    "org.codehaus.woodstox:stax2-api:4.2.2",
    "org.apache.commons:commons-collections4:4.4",
    "org.apache.hadoop.thirdparty:hadoop-shaded-guava:1.4.0",
)


def coordinates(version: str) -> tuple[str, ...]:
    """What makes up a server with its import tool and Browser; all else follows from these."""
    return f"org.neo4j:neo4j:{version}", f"org.neo4j.app:neo4j-server:{version}", f"org.neo4j:neo4j-import-tool:{version}", BROWSER


def write(version: str) -> None:
    """Resolve a version from the Maven repository and lock every jar of it by size and sha256."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        roots, others = context.resolver.resolve([context.create_dependency(coordinate) for coordinate in coordinates(version)])
        artifacts = [dependency.artifact for dependency in roots] + [
            dependency.artifact for dependency in others if dependency.scope in ("compile", "runtime")
        ]
        present = {(artifact.groupId, artifact.artifactId) for artifact in artifacts}
        extra = [context.create_dependency(coordinate).artifact for coordinate in PARQUET]
        artifacts += [artifact for artifact in extra if (artifact.groupId, artifact.artifactId) not in present]
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            rows = list(pool.map(_row, artifacts))
    lock_file(version).write_text("".join(sorted(rows, key=lambda row: row.split()[-1])), "utf-8")


def _row(artifact: object) -> str:
    from jgo.maven import Artifact

    assert isinstance(artifact, Artifact)
    path = artifact.resolve()
    parts = [artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier]
    return f"{digest(path)} {path.stat().st_size} {':'.join(part for part in parts if part)}\n"
