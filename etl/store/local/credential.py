"""Neo4j's password before its first start, as `neo4j-admin dbms set-initial-password` leaves it; the tool itself would take as long as a start."""

from __future__ import annotations

import hashlib
import secrets

ITERATIONS = 1024


def initial(username: str, password: str) -> str:
    """What `data/dbms/auth.ini` holds until a server has run: the user with the password's salted hash (Neo4j's `SystemGraphCredential`)."""
    salt = secrets.token_bytes(32)
    digest = salt + password.encode()
    for _ in range(ITERATIONS):
        digest = hashlib.sha256(digest).digest()
    return f"{username}:SHA-256,{digest.hex()},{salt.hex()},{ITERATIONS}:\n"
