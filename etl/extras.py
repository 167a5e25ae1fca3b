"""Packages that not everybody needs, and the one line that says how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from etl.errors import Missing

EXTRAS = {  # what a package comes with, and what needs it
    "bokeh": "plot",
    "igraph": "analysis",
    "jinja2": "plot",
    "matplotlib": "plot",
    "networkx": "analysis",
    "onnxruntime": "onnx",
    "pandas": "analysis",
    "PIL": "plot",
    "pyspark": "spark",
    "timm": "torch",
    "torch": "torch",
    "torchvision": "torch",
    "transformers": "torch",
}


def missing(package: str) -> str:
    """What to say where a package isn't there."""
    return f"this needs {package}, which is not installed: pip install 'neuron-etl[{EXTRAS[package]}]'"


def needed(package: str) -> None:
    """Raises Missing, with the command that installs it, where a package isn't there."""
    if find_spec(package) is None:
        raise Missing(missing(package))
