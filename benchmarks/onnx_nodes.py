"""All of the onnx package's own operator tests, every input but the first of floats turned into an initializer: `python -m benchmarks.onnx_nodes`.

Prints how many are exact, wrong, refused and why. Takes some minutes; tests/test_onnx.py holds a sample.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter

import numpy as np
from onnx.backend.test.case.node import collect_testcases

from etl.errors import BadFile, EtlError
from tests.test_onnx import exact_case, run_case, tolerance


def main() -> None:
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        cases = collect_testcases(None)
    counted: Counter[str] = Counter()
    for case in cases:
        if not case.model or not case.data_sets or not exact_case(*case.data_sets[0]):
            counted["not applicable"] += 1
            continue
        given, wanted = case.data_sets[0]
        try:
            found = run_case(case.model, given)
        except EtlError as error:
            counted["broken" if isinstance(error, BadFile) else "refused"] += 1
            print(f"{case.name}: {error}")
            continue
        close = [
            np.allclose(ours, np.asarray(theirs, float).reshape(ours.shape), **tolerance(case, theirs))
            for ours, theirs in zip(found, wanted, strict=True)
        ]
        counted["exact" if all(close) else "wrong"] += 1
        if not all(close):
            print(f"{case.name}: WRONG")
    print(dict(counted))


if __name__ == "__main__":
    main()
