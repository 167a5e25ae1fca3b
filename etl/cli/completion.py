"""Words that only the store knows, for the shell's completion: models, their layers, and layers as the beginning of a neuron's address."""

from __future__ import annotations

import os

import typer

from etl.errors import EtlError


def models(incomplete: str) -> list[str]:
    """Names of models, for commands that take one."""
    return [name for name in stored_names("model", None, None) if name.startswith(incomplete)]


def layers(context: typer.Context, incomplete: str) -> list[str]:
    """Layers of the model that the command is about."""
    return [name for name in stored_names("layer", None, context.params.get("name")) if name.startswith(incomplete)]


def neurons(context: typer.Context, incomplete: str) -> list[str]:
    """Layers of the model that the command is about, each as the beginning of an address: `digit/`."""
    return [name for name in stored_names("neuron", "NEURON", context.params.get("name")) if name.startswith(incomplete)]


def stored_names(parameter: str, kind: str | None, model: str | None) -> list[str]:
    """Names that a parameter may have in a store that runs already: nothing is started to complete a word."""
    from etl.store import connect, status

    if not (os.environ.get("NEO4J_URI") or status().running):
        return []
    try:
        with connect() as store:
            if parameter in ("model", "other"):
                return [row["name"] for row in store.read("MATCH (m:Model) RETURN m.name AS name ORDER BY name")]
            if kind == "NEURON" or parameter in ("layer", "first", "second", "source", "target"):
                end = "/" if kind == "NEURON" else ""
                rows = store.read("MATCH (l:Layer) WHERE $model IS NULL OR l.model = $model RETURN l.name AS name ORDER BY l.position", model=model)
                return [row["name"] + end for row in rows]
    except EtlError:  # no word to complete is no error
        return []
    return []
