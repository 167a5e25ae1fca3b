"""Reads every model of keras.applications in three forms and compares it with Keras' own: layers, calls, arrays by role.

    python benchmarks/read_applications.py [keras|tf_keras] [NAME ...]

Takes minutes, so it is no test of the suite; each model is built in a process of its own to keep memory small.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def check(framework: str, name: str) -> None:
    import numpy as np

    from etl.readers import read, read_keras_model
    from tests.live import calls_of, calls_of_network, compare_arrays

    rng = np.random.default_rng(0)
    build = getattr(import_module(framework).applications, name)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model = build(weights=None)
        model.set_weights([rng.random(one.shape, dtype=np.float32) for one in model.weights])  # fresh ones would hide swapped arrays
        expected = calls_of(model)
        for suffix in (".h5", ".keras", ""):
            begin = time.perf_counter()
            path = Path(folder, "model" + suffix)
            if suffix:
                model.save(path)
                begin = time.perf_counter()
                found = read(path)
            else:
                found = read_keras_model(model)
            seconds = time.perf_counter() - begin
            compare_arrays(found.network, model)
            assert calls_of_network(found.network) == expected, f"{name}{suffix}: calls differ"
            print(
                f"{framework} {name}{suffix or ' (live)'}: {len(found.network.calls)} calls, {model.count_params():,} weights, {seconds:.2f} s",
                flush=True,
            )


def main() -> int:
    framework, *names = sys.argv[1:] or ["keras"]
    if len(names) == 1:
        check(framework, names[0])
        return 0
    applications = import_module(framework).applications
    names = names or [one for one in dir(applications) if inspect.isfunction(getattr(applications, one))]
    failed = [one for one in names if subprocess.run([sys.executable, __file__, framework, one]).returncode]
    print(f"{len(names) - len(failed)} of {len(names)} agree; failed: {failed}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
