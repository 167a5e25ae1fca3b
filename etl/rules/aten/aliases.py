"""Second names of operators: what ATen has under more than one."""

from __future__ import annotations

ALIASES = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg", "absolute": "abs", "greater": "gt", "less": "lt",
    "greater_equal": "ge", "less_equal": "le", "not_equal": "ne", "fix": "trunc", "sgn": "sign", "special_expm1": "expm1", "special_erf": "erf",
    "special_erfc": "erfc", "special_log1p": "log1p", "special_softmax": "softmax", "special_log_softmax": "log_softmax", "special_sinc": "sinc",
    "special_exp2": "exp2", "special_logit": "logit", "special_expit": "sigmoid", "special_round": "round", "linalg_matmul": "matmul",
    "special_logsumexp": "logsumexp", "arctan": "atan", "arctan2": "atan2", "trapz": "trapezoid",
    "special_xlogy": "xlogy", "arcsin": "asin", "arccos": "acos",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "upsample_nearest": "upsample_nearest2d",
    "swapdims": "transpose", "where_self": "where",
}  # fmt: skip
