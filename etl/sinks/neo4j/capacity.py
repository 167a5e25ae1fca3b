"""What this machine can give the local Neo4j."""

from __future__ import annotations

import psutil

from etl.graph import estimate
from etl.store import home
from etl.store.local import configuration


def free() -> estimate.Needs:
    """What this machine has free for the local Neo4j."""
    return estimate.Needs(home.free_disk(), psutil.virtual_memory().available, configuration.page_cache())
