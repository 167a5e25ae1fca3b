"""What a Lambda layer computes, as its user says it: `x / 127.5 - 1`, `abs(x[0] - x[1])`, `mean(x, axis=-1)`.

The text is parsed and never run: of Python's syntax the few nodes below have a meaning, and every function is an operation that has a rule.
x is the layer's input, or the list of its inputs. As in Keras, axes and indices count the batch.
"""

from __future__ import annotations

import ast
import inspect
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping
from math import e, pi
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.ids import is_live
from etl.rules.keras import arithmetic, arrangement
from etl.rules.keras.operations import KERAS, TENSORFLOW, Rule
from etl.rules.misfits import called, shown
from etl.rules.scope import Scope

LONGEST = 4096  # characters: what people write is a line
DEEPEST = 64  # nodes within nodes

# Python's operators, under the names of the operations that they stand for.
OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.MatMult: "matmul",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
LIBRARIES = ("tf", "tensorflow", "K", "keras", "backend", "ops", "np", "numpy")
CONSTANTS = {"pi": pi, "e": e}
# Functions of numbers that are worked out at once: `x / sqrt(64)`.
NUMBERS: Mapping[str, Callable[[Any], Any]] = {"sqrt": np.sqrt, "exp": np.exp, "log": np.log, "abs": np.abs, "square": np.square}
# What keras.backend calls otherwise than keras.ops.
BACKEND = {"permute_dimensions": "transpose", "pow": "power", "clip_by_value": "clip", "concat": "concatenate"}


def snake(name: str) -> str:
    """`LogSoftmax` -> `log_softmax`, as keras.ops calls the function of that class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


OF_KERAS: dict[str, Rule] = {snake(name): rule for name, rule in KERAS.items() if name != "GetItem"}
OF_KERAS |= {name: OF_KERAS[ours] for name, ours in BACKEND.items()}
OF_TENSORFLOW: dict[str, Rule] = {name.rpartition(".")[2]: rule for name, rule in TENSORFLOW.items() if not name.startswith(("__", "compat"))}


def expression(here: Scope, *inputs: Any, expression: str) -> Any:
    """What `--lambda NAME=EXPRESSION` says of the input x, or of the inputs x[0], x[1]: each operation a sublayer, the last one the layer's own."""
    body, name = parsed(expression)
    result = Evaluation(here, list(inputs) if len(inputs) > 1 else inputs[0], name).value(body, here)
    listed = result if isinstance(result, list) else [result]
    if not listed or not all(map(is_live, listed)):
        raise Unsupported(f"computes {expression!r}, which is no value of its input")
    return result


def parsed(text: str) -> tuple[ast.expr, str]:
    """An expression, and what it calls the input: x, or the argument where it is written as `lambda t: t / 2`. Raises Unsupported."""
    try:
        if len(text) > LONGEST:
            raise ValueError(f"more than {LONGEST:,} characters")
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise Unsupported(f"is said to compute {text[:80]!r}, which is no expression ({reason})") from None
    if isinstance(body, ast.Lambda):
        own = body.args
        if len(own.args) != 1 or own.kwonlyargs or own.posonlyargs or own.defaults or own.vararg or own.kwarg:
            raise Unsupported(f"is said to compute {text[:80]!r}, which has not just one argument")
        return body.body, body.args.args[0].arg
    return body, "x"


class Evaluation:
    """One expression written out as neurons. name: what it calls its input."""

    def __init__(self, here: Scope, inputs: Any, name: str) -> None:
        self.here, self.inputs, self.name = here, inputs, name
        self.parts: Counter[str] = Counter()
        self.depth = 0

    def value(self, node: ast.expr, scope: Scope | None = None) -> Any:
        """What a node stands for: ids, a number, a list, a slice. scope: where its neurons are, if not in a sublayer. Raises Unsupported."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unsupported("has an expression that is nested too deeply")
        try:
            return self.value_of(node, scope)
        finally:
            self.depth -= 1

    def value_of(self, node: ast.expr, scope: Scope | None) -> Any:
        match node:
            case ast.Constant(value=value) if value is None or value is ... or isinstance(value, bool | int | float | str):
                return value
            case ast.Name(id=name):
                return self.named(name)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return [self.value(element) for element in elements]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                negated = self.value(operand)
                return self.applied("negative", OF_KERAS["negative"], scope, negated) if is_live(negated) else operator.neg(self.number(negated))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                return self.operated(OPERATORS[type(op)], scope, self.value(left), self.value(right))
            case ast.Subscript(value=indexed, slice=key):
                return self.item(self.value(indexed), self.value(key))
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if element is None else self.value(element) for element in (lower, upper, step)))
            case ast.Call(func=function, args=args, keywords=keywords):
                return self.called(function, args, keywords, scope)
        raise Unsupported(f"has {ast.unparse(node)!r} in its expression, which has no meaning there")

    def named(self, name: str) -> Any:
        if name == self.name:
            return self.inputs
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise Unsupported(f"has {name!r} in its expression; its input is called {self.name}")

    def number(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number | np.ndarray):
            raise Unsupported(f"computes with {shown(value)}, which is no number; several inputs are {self.name}[0], {self.name}[1]")
        return value

    def operated(self, name: str, scope: Scope | None, *operands: Any) -> Any:
        """An operator on tensors and numbers."""
        for operand in operands:
            if not is_live(operand) and not isinstance(operand, list):
                self.number(operand)
            if isinstance(operand, list) and any(map(is_live, operand)):
                raise Unsupported(f"computes with all its inputs at once; they are {self.name}[0], {self.name}[1]")
        if name == "power" and not any(map(is_live, operands)):
            return arithmetic.operand(operands[0]) ** arithmetic.operand(operands[1])
        return self.applied(name, OF_KERAS[name], scope, *operands)

    def item(self, indexed: Any, key: Any) -> Any:
        """x[1] of several inputs, or places of a tensor: x[:, 0], x[..., -1]."""
        if isinstance(indexed, list):
            try:
                return indexed[key]
            except (IndexError, TypeError):
                raise Unsupported(f"picks {key!r} of {len(indexed)} inputs") from None
        return self.applied("item", arrangement.get_item, None, indexed, tuple(key) if isinstance(key, list) else key)

    def called(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword], scope: Scope | None) -> Any:
        """A function of an operation, under its name in keras.ops, or tf.NAME under that in TensorFlow."""
        words = ast.unparse(function).split(".")
        known = len(words) == 1 or words[0] in LIBRARIES
        tables = (OF_TENSORFLOW, OF_KERAS) if words[0] in ("tf", "tensorflow") else (OF_KERAS, OF_TENSORFLOW)
        rule = next((table[words[-1]] for table in tables if words[-1] in table), None) if known else None
        if rule is None:
            raise Unsupported(f"has {'.'.join(words)!r} in its expression, for which there is no rule")
        if any(isinstance(arg, ast.Starred) for arg in args) or any(keyword.arg is None for keyword in keywords):
            raise Unsupported("has a star in its expression, which has no meaning there")
        values, named = [self.value(arg) for arg in args], {str(keyword.arg): self.value(keyword.value) for keyword in keywords}
        if len(values) == 1 and not named and words[-1] in NUMBERS and not is_live(values[0]):
            return NUMBERS[words[-1]](self.number(values[0]))
        return self.applied(words[-1], rule, scope, *values, **named)

    def applied(self, name: str, rule: Rule, scope: Scope | None, *args: Any, **keywords: Any) -> Any:
        """Run a rule, its arguments by place or by name. Raises Unsupported where they are not its own, or do not fit each other."""
        parameters = list(inspect.signature(rule).parameters.values())[1:]
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        by_name = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
        names = [p.name for p in by_name]
        twice = set(names[: len(args)]) & set(keywords)
        if (len(args) > len(names) and not many) or set(keywords) - set(names) or twice:
            raise Unsupported(f"calls {name} with other arguments than it has: {', '.join(names)}")
        bound = dict(keywords) if many else {**dict(zip(names, args, strict=False)), **keywords}
        lacking = [p.name for p in by_name if p.default is p.empty and p.name not in bound]
        if lacking:
            raise Unsupported(f"calls {name} without {', '.join(lacking)}")
        positional = args if many else [bound.pop(p.name) for p in by_name if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in names[: len(args)]]
        if scope is None:
            number = self.parts[name]
            self.parts[name] += 1
            scope = self.here.part(f"{name}_{number}" if number else name)
        try:
            return called(rule, scope, positional, bound)
        except (ValueError, IndexError, KeyError, ZeroDivisionError, OverflowError, AssertionError) as error:
            raise Unsupported(f"calls {name} with arguments that do not fit: {error}") from error
