"""Every dialect by the name that readers give it."""

from __future__ import annotations

from collections.abc import Mapping

from etl.rules.aten import ATEN
from etl.rules.dialect import Dialect
from etl.rules.keras import KERAS2, KERAS3
from etl.rules.onnx import ONNX

DIALECTS: Mapping[str, Dialect] = {"keras2": KERAS2, "keras3": KERAS3, "onnx": ONNX, "aten": ATEN}
