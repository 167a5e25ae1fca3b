"""Operators that make constants, or turn a tensor's shape and type into one. Nothing large is made before its size is known to be sane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.aten.functions import trunc
from etl.rules.aten.logic import not_equal
from etl.rules.aten.values import Operand, Size, Sizes, Value, check_size
from etl.rules.aten.views import integer, sizes
from etl.rules.ids import is_live
from etl.rules.scope import Scope

Rule = Callable[..., Any]


def dtype_of(name: str | None, default: Any = None) -> np.dtype[Any]:
    """torch's types as NumPy's; half precision is computed in float32. Raises Unsupported for a type that NumPy hasn't."""
    if name is None:
        return np.dtype(default if default is not None else "float32")
    try:
        return np.dtype({"float16": "float32", "bfloat16": "float32"}.get(name, name))
    except TypeError as error:
        raise Unsupported(f"computes with numbers of type {name}") from error


def checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The same shape. Raises TooLarge where a constant of it is too large to write out."""
    check_size(shape)
    return shape


def filled(shape: tuple[int, ...], value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """One number everywhere: it takes no memory, however large the shape is. Raises Unsupported for a live one."""
    if is_live(value):
        raise Unsupported("is filled with a number that depends on the example")
    return np.broadcast_to(np.asarray(value).astype(dtype), shape)


def of_one(value: float) -> Any:
    """A rule for zeros and ones."""

    def rule(here: Scope, size: Sizes, dtype: str | None = None) -> Value:
        """One number everywhere."""
        return filled(sizes(size), value, dtype_of(dtype))

    return rule


def like_one(value: float) -> Any:
    """A rule for zeros_like and ones_like."""

    def rule(here: Scope, self: Value, dtype: str | None = None) -> Value:
        """One number everywhere, in the shape of another tensor."""
        return filled(self.shape, value, dtype_of(dtype, default_of(self)))

    return rule


def default_of(self: Value) -> np.dtype[Any]:
    return np.dtype("float32") if is_live(self) else self.dtype


def full(here: Scope, size: Sizes, fill_value: Operand, dtype: str | None = None) -> Value:
    """One number everywhere."""
    return filled(sizes(size), fill_value, dtype_of(dtype, "int64" if isinstance(fill_value, int) and not isinstance(fill_value, bool) else None))


def full_like(here: Scope, self: Value, fill_value: Operand, dtype: str | None = None) -> Value:
    """One number everywhere, in the shape of another tensor."""
    return filled(self.shape, fill_value, dtype_of(dtype, default_of(self)))


def new_one(value: float) -> Any:
    """A rule for new_zeros and new_ones."""

    def rule(here: Scope, self: Value, size: Sizes, dtype: str | None = None) -> Value:
        """One number everywhere, of the type of another tensor."""
        return filled(sizes(size), value, dtype_of(dtype, default_of(self)))

    return rule


def new_full(here: Scope, self: Value, size: Sizes, fill_value: Operand, dtype: str | None = None) -> Value:
    """One number everywhere, of the type of another tensor."""
    return filled(sizes(size), fill_value, dtype_of(dtype, default_of(self)))


def fill(here: Scope, self: Value, value: Operand) -> Value:
    """One number everywhere, in the shape of what was there."""
    if is_live(value):
        return np.broadcast_to(value, self.shape)
    return filled(self.shape, value, default_of(self))


def zero(here: Scope, self: Value) -> Value:
    """Zero everywhere, in the shape of what was there."""
    return filled(self.shape, 0, default_of(self))


def copy(here: Scope, self: Value, src: Value, non_blocking: bool = False) -> Value:
    """Another tensor's values, in the shape of what was there."""
    values = np.broadcast_to(src, self.shape)
    return values if is_live(values) or is_live(self) else values.astype(self.dtype)


def arange(here: Scope, end: Operand, start: Operand = 0, step: Operand = 1, dtype: str | None = None) -> Value:
    """Numbers from start up to end."""
    if any(map(is_live, (start, end, step))):
        raise Unsupported("counts to a number that depends on the example")
    first, last, by = (np.asarray(number).reshape(()).item() for number in (start, end, step))
    checked((max(int((last - first) / by) + 1, 0),))
    default = "int64" if all(isinstance(number, int) for number in (first, last, by)) else "float32"
    return np.arange(first, last, by).astype(dtype_of(dtype, default))


def linspace(here: Scope, start: Operand, end: Operand, steps: Size, dtype: str | None = None) -> Value:
    """So many numbers from start to end."""
    if is_live(start) or is_live(end):
        raise Unsupported("begins or ends at a number that depends on the example")
    return np.linspace(np.asarray(start).item(), np.asarray(end).item(), checked((integer(steps),))[0]).astype(dtype_of(dtype))


def logspace(here: Scope, start: Operand, end: Operand, steps: Size, base: float = 10.0, dtype: str | None = None) -> Value:
    """The base to the power of so many numbers from start to end."""
    return np.power(base, linspace(here, start, end, steps, "float64")).astype(dtype_of(dtype))


def window(coefficients: Sequence[float]) -> Any:
    """A rule for hann_window, hamming_window and blackman_window: a sum of cosines with signs that alternate."""

    def rule(
        here: Scope, window_length: Size, periodic: bool = True, alpha: float | None = None, beta: float | None = None, dtype: str | None = None
    ) -> Value:
        """The weights of a window over time; a periodic one leaves out the last of one more."""
        (count,) = checked((integer(window_length),))
        terms = coefficients if alpha is None else (alpha, 1 - alpha if beta is None else beta)
        angle = 2 * np.pi * np.arange(count) / max(count if periodic else count - 1, 1)
        values = sum((-1) ** k * term * np.cos(k * angle) for k, term in enumerate(terms))
        return np.where(count == 1, 1.0, values).astype(dtype_of(dtype))

    return rule


def bartlett_window(here: Scope, window_length: Size, periodic: bool = True, dtype: str | None = None) -> Value:
    """A triangle from 0 to 1 and back."""
    (count,) = checked((integer(window_length),))
    last = max(count if periodic else count - 1, 1)
    values = 1 - np.abs(2 * np.arange(count) / last - 1) if count > 1 else np.ones(count)
    return values.astype(dtype_of(dtype))


def eye(here: Scope, n: Size, m: Size | None = None, dtype: str | None = None) -> Value:
    """Ones on the diagonal."""
    shape = checked((integer(n), integer(n if m is None else m)))
    return np.eye(*shape, dtype=dtype_of(dtype))


def scalar_tensor(here: Scope, s: Operand, dtype: str | None = None) -> Value:
    """One number."""
    if is_live(s):
        raise Unsupported("needs the value of a tensor that depends on the example")
    return np.asarray(s).astype(dtype_of(dtype))


def triangle_indices(lower: bool) -> Any:
    """A rule for tril_indices and triu_indices."""

    def rule(here: Scope, row: Size, col: Size, offset: int = 0) -> Value:
        """Rows and columns of the places on one side of a diagonal."""
        rows, columns = checked((integer(row), integer(col)))
        kept = np.tri(rows, columns, offset, dtype=bool) if lower else ~np.tri(rows, columns, offset - 1, dtype=bool)
        return np.stack(np.nonzero(kept))

    return rule


def sym_size(here: Scope, self: Value, dim: Size | None = None) -> Value:
    """The size of an axis."""
    return np.asarray(self.shape if dim is None else self.shape[integer(dim)])


def sym_numel(here: Scope, self: Value) -> Value:
    """The number of elements."""
    return np.asarray(self.size)


def cast(here: Scope, self: Value, dtype: str | None = None) -> Value:
    """The same numbers of another type: a live value stays as it is, whatever the width of its type."""
    if dtype is None or dtype.startswith("float") or dtype == "bfloat16":
        return self if is_live(self) or dtype is None else self.astype(dtype_of(dtype))
    if is_live(self):
        return not_equal(here, self, 0) if dtype == "bool" else self  # whole already: see `truncate`
    return self.astype(dtype_of(dtype))


def truncate(here: Scope, self: Value, dtype: str | None = None) -> Value:
    """Fractions cut off towards zero: sign(x) times floor(|x|)."""
    if not is_live(self):
        return self.astype(dtype_of(dtype, "int64"))
    return trunc(here, self)


def type_as(here: Scope, self: Value, other: Value) -> Value:
    """The same numbers of the type of another tensor."""
    return self if is_live(self) or is_live(other) else self.astype(other.dtype)


def item(here: Scope, self: Value) -> Value:
    """The value of a constant of one element."""
    if is_live(self):
        raise Unsupported("needs the value of a tensor that depends on the example")
    return np.asarray(self).reshape(())


CREATION: dict[str, Rule] = {
    "zeros": of_one(0),
    "ones": of_one(1),
    "empty": of_one(0),
    "zeros_like": like_one(0),
    "ones_like": like_one(1),
    "empty_like": like_one(0),
    "full": full,
    "full_like": full_like,
    "new_zeros": new_one(0),
    "new_ones": new_one(1),
    "new_empty": new_one(0),
    "new_full": new_full,
    "fill": fill,
    "zero": zero,
    "copy": copy,
    "arange": arange,
    "linspace": linspace,
    "logspace": logspace,
    "hann_window": window((0.5, 0.5)),
    "hamming_window": window((0.54, 0.46)),
    "blackman_window": window((0.42, 0.5, 0.08)),
    "bartlett_window": bartlett_window,
    "eye": eye,
    "scalar_tensor": scalar_tensor,
    "tril_indices": triangle_indices(lower=True),
    "triu_indices": triangle_indices(lower=False),
    "sym_size": sym_size,
    "sym_numel": sym_numel,
    "to": cast,
    "_to_copy": cast,
    "truncate": truncate,
    "type_as": type_as,
    "item": item,
    "_local_scalar_dense": item,
}
