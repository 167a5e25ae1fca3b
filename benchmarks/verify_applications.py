"""Every network of keras.applications, small and with random weights: its graph beside its own framework, layer by layer.

    python benchmarks/verify_applications.py [keras|tf_keras] [NAME ...] [--format h5|keras]

Prints one row a network: size, worst relative error of any layer and of the output, and how far two different examples' outputs are
apart (an error matters only where that is large).
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

SMALLEST = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
NAMES = (
    "VGG16 VGG19 ResNet50 ResNet50V2 InceptionV3 InceptionResNetV2 Xception MobileNet MobileNetV2 MobileNetV3Small MobileNetV3Large "
    "DenseNet121 NASNetMobile EfficientNetB0 EfficientNetV2B0 ConvNeXtTiny"
).split()


def randomize(model: Any, seed: int = 3) -> None:
    """Weights and statistics under which a wrong graph shows: every layer keeps the scale of what it reads."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape, role = tuple(variable.shape), str(getattr(variable, "path", variable.name)).rpartition("/")[2].partition(":")[0]
        if "float" not in str(variable.dtype):
            continue
        if role in ("moving_variance", "variance"):
            values = rng.uniform(0.5, 2.0, shape)
        elif role == "gamma":
            values = rng.uniform(0.7, 1.3, shape)
        elif len(shape) > 1:
            depthwise = "depthwise" in str(getattr(variable, "path", variable.name))
            fan = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            values = rng.normal(size=shape) * np.sqrt(2 / max(fan, 1))
        else:
            values = rng.normal(size=shape) * 0.1
        variable.assign(values)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("framework", nargs="?", default="keras", choices=["keras", "tf_keras"])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--format", default="h5", choices=["h5", "keras"])
    arguments = parser.parse_args()
    framework = importlib.import_module(arguments.framework)
    from etl.analysis.verify import verify
    from etl.graph.selection import graph_of

    print(f"{'network':20} {'neurons':>12} {'edges':>14} {'worst layer':>12} {'output':>10} {'apart':>8} {'seconds':>8}", flush=True)
    for name in arguments.names or NAMES:
        framework.backend.clear_session()
        side = SMALLEST.get(name, 32)
        model = getattr(framework.applications, name)(weights=None, include_top=False, pooling="avg", input_shape=(side + 8, side, 3))
        randomize(model)
        x = np.random.default_rng(1).normal(size=(2, side + 8, side, 3)).astype(np.float32)
        made = np.asarray(model(x, training=False))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.{arguments.format}"
            model.save(path)
            started = time.perf_counter()
            graph = graph_of(path)
            compared = verify(path, inputs=[x])
        apart = float(np.abs(made[0] - made[1]).max() / np.abs(made).max())
        worst = max(compared, key=lambda c: c.relative)
        row = f"{name:20} {graph.neurons:12,} {graph.edges:14,} {worst.relative:12.1e} {compared[-1].relative:10.1e} {apart:8.2g}"
        print(f"{row} {time.perf_counter() - started:8.0f}  {worst.layer}", flush=True)


if __name__ == "__main__":
    main()
