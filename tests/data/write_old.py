"""Writes old/VERSION.keras and old/VERSION.npz with whatever Keras is installed: the zoo's nested model, and what that Keras says of it.

    python -m venv k2.12 && k2.12/bin/pip install tensorflow==2.12.* && k2.12/bin/python tests/data/write_old.py

The files in the repository came from Keras 2.12.0, 2.13.1, 2.14.0, 2.15.0, 3.0.5, 3.3.3 and 3.10.0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import zoo
from tests.live import calls_of


def arrays(model: Any, above: str = "") -> dict[str, Any]:
    """`layer/inner layer|0` -> values, trainable ones first."""
    found = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= arrays(layer, f"{above}{layer.name}/")
        else:
            for place, one in enumerate([*layer.trainable_weights, *layer.non_trainable_weights]):
                found[f"{above}{layer.name}|{place}"] = one.numpy()
    return found


def main() -> None:
    folder = Path(__file__).parent / "old"
    folder.mkdir(exist_ok=True)
    model = zoo.build(zoo.nested, keras)
    format_of_its_own = {"save_format": "keras_v3"} if keras.__version__.startswith("2.12") else {}
    model.save(folder / f"{keras.__version__}.keras", **format_of_its_own)
    calls = json.dumps([[*call, inputs] for call, inputs in calls_of(model).items()])
    np.savez_compressed(folder / f"{keras.__version__}.npz", calls=calls, **arrays(model))


if __name__ == "__main__":
    main()
