"""Everything that can go wrong for a user, as a tree.

    EtlError
    ├── BadFile            the model file: missing, broken, not a model, dangerous
    ├── Unsupported        the model has layers, options or operations without a rule
    ├── BadRequest         the options asked for do not fit the model
    │   └── TooLarge       the graph is larger than anything here can hold
    ├── StoreError         Neo4j: not reachable, refuses, too old, busy
    │   ├── NotInStore     no model of that name
    │   └── Conflict       another model of that name, another load under way
    ├── QueryError         a stored query: no such name, wrong parameters, a header that does not fit
    ├── FetchError         the local Neo4j cannot be fetched or started
    └── Missing            a package that only some commands need is not installed

Each message is one line that names the thing and says what to do. The border in cli.py prints it after `error: ` and exits with 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EtlError(Exception):
    """Root of all errors that are a user's business."""


class BadFile(EtlError):
    """The model file can't be read: names the file, the place and the remedy."""


class Unsupported(EtlError):
    """Layers or options without a rule: all of them, named at once."""


class BadRequest(EtlError):
    """The options asked for do not fit the model."""


class TooLarge(BadRequest):
    """A graph with more neurons, layers or axes than can be held. The command line adds what helps."""


class StoreError(EtlError):
    """The store can't be reached or refuses."""


class NotInStore(StoreError):
    """No model of that name in the store."""


class Conflict(StoreError):
    """The store holds something else under that name, or is being written."""


class QueryError(EtlError):
    """A stored query can't be found or run as asked."""


class FetchError(EtlError):
    """The local Neo4j can't be fetched or started."""


class Missing(EtlError):
    """A package that not everybody needs isn't installed: names it, and the command that installs it."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """` (did you mean x?)`, x the nearest of the known names, or nothing: to be put behind the name that nothing has."""
    close = get_close_matches(name, list(names), 1, 0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def reason(error: Exception) -> str:
    """Why a file can't be read, in brackets after its name: the system's words alone, which would name the file again."""
    return getattr(error, "strerror", None) or str(error)
