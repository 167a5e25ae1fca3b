"""The page of PyTorch's operators: `aten.NAME` -> the function that says who meets whom, its arguments named as ATen names them.

What `torch.export` writes at inference. A rule gets live values and constants; constants alone are computed with NumPy and make no neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from etl.errors import Unsupported
from etl.network import leaves
from etl.rules.aten import (
    along,
    arithmetic,
    attention,
    comparison,
    convolution,
    creation,
    diagonals,
    distances,
    functions,
    indexing,
    joining,
    losses,
    matrices,
    normalization,
    padding,
    patches,
    pooling,
    products,
    resizing,
    sizes,
    tables,
    views,
)
from etl.rules.aten.aliases import ALIASES
from etl.rules.aten.recurrent import RECURRENT
from etl.rules.aten.refused import REFUSED
from etl.rules.aten.values import bounded
from etl.rules.dialect import Dialect
from etl.rules.ids import Live
from etl.rules.scope import Scope

Rule = Callable[..., Any]
RANKS = (1, 2, 3)

FAMILIES: dict[str, dict[str, Rule]] = {
    "Products": {
        "linear": products.linear,
        "matmul": products.matmul,
        "bmm": products.mm,
        "mm": products.mm,
        "mv": products.mv,
        "dot": products.dot,
        "vdot": products.dot,
        "inner": products.inner,
        "outer": products.outer,
        "ger": products.outer,
        "addmm": products.addmm,
        "baddbmm": products.baddbmm,
        "addbmm": products.addbmm,
        "addmv": products.addmv,
        "addr": products.addr,
        "einsum": products.einsum,
        "tensordot": products.tensordot,
        **matrices.MATRICES,
        "kron": products.kron,
        **dict.fromkeys(("cross", "linalg_cross"), products.cross),
        "bilinear": products.bilinear,
        "embedding": tables.embedding,
        "embedding_renorm": tables.embedding_renorm,
        "embedding_bag": tables.embedding_bag,
        "one_hot": tables.one_hot,
        "_weight_norm": normalization.weight_norm,
        "scaled_dot_product_attention": attention.scaled_dot_product_attention,
    },
    "Convolution": {
        **{f"conv{n}d": convolution.convolution for n in RANKS},
        **{f"conv_transpose{n}d": convolution.transposed_convolution for n in RANKS},
        "convolution": convolution.conv_any,
        "im2col": patches.im2col,
        "col2im": patches.col2im,
    },
    "Pooling": {
        **{f"max_pool{n}d": pooling.max_pool(n) for n in RANKS},
        **{f"avg_pool{n}d": pooling.average_pool(n) for n in RANKS},
        **{f"max_pool{n}d_with_indices": pooling.max_pool_with_indices(n) for n in RANKS},
        **{f"adaptive_avg_pool{n}d": pooling.adaptive_average_pool(n) for n in RANKS},
        **{f"adaptive_max_pool{n}d": pooling.adaptive_max_pool(n) for n in RANKS},
    },
    "Normalization": {
        "batch_norm": normalization.batch_norm,
        "layer_norm": normalization.layer_norm,
        "rms_norm": normalization.rms_norm,
        "group_norm": normalization.group_norm,
        "instance_norm": normalization.instance_norm,
    },
    "Recurrent": RECURRENT,
    "Activation": {
        **functions.FUNCTIONS,
        **functions.INVERSES,
        "hardtanh": functions.hardtanh,
        "leaky_relu": functions.leaky_relu,
        "elu": functions.elu,
        "celu": functions.celu,
        "gelu": functions.gelu,
        "softplus": functions.softplus,
        "softshrink": functions.softshrink,
        "hardshrink": functions.hardshrink,
        "threshold": functions.threshold,
        "prelu": functions.prelu,
        "rrelu": functions.rrelu,
        "glu": functions.glu,
        "softmax": along.softmax,
        "_softmax": along.softmax,
        "log_softmax": along.log_softmax,
        "_log_softmax": along.log_softmax,
    },
    "Arithmetic": {
        "add": arithmetic.add,
        "sub": arithmetic.sub,
        "rsub": arithmetic.rsub,
        "mul": arithmetic.mul,
        "div": arithmetic.div,
        "floor_divide": arithmetic.floor_divide,
        "remainder": arithmetic.remainder,
        "fmod": arithmetic.fmod,
        "round": functions.round_,
        "maximum": arithmetic.maximum,
        "minimum": arithmetic.minimum,
        "fmax": arithmetic.maximum,
        "fmin": arithmetic.minimum,
        "clamp": arithmetic.clamp,
        "clip": arithmetic.clamp,
        "clamp_min": arithmetic.clamp_min,
        "clamp_max": arithmetic.clamp_max,
        "pow": arithmetic.pow_,
        "float_power": arithmetic.pow_,
        "addcmul": arithmetic.addcmul,
        "addcdiv": arithmetic.addcdiv,
        "lerp": arithmetic.lerp,
        "hypot": arithmetic.hypot,
        "logaddexp2": arithmetic.logaddexp2,
        "ldexp": arithmetic.ldexp,
        "copysign": functions.copysign,
        "atan2": functions.atan2,
        "xlogy": functions.xlogy,
        "special_xlog1py": functions.xlog1py,
        "fake_quantize_per_tensor_affine": arithmetic.fake_quantize,
        "logaddexp": arithmetic.logaddexp,
        "nan_to_num": arithmetic.nan_to_num,
        "heaviside": comparison.heaviside,
    },
    "Comparison": {**comparison.COMPARISON, **functions.TESTS},
    "Along axes": {
        **dict.fromkeys(("sum", "nansum"), along.total),
        **dict.fromkeys(("mean", "nanmean"), along.mean),
        "prod": along.product,
        "amax": along.largest("max"),
        "amin": along.largest("min"),
        "max": along.extreme("max"),
        "min": along.extreme("min"),
        "aminmax": along.aminmax,
        "argmax": along.place_of("max"),
        "argmin": along.place_of("min"),
        "any": along.truth_along("max"),
        "all": along.truth_along("min"),
        "count_nonzero": along.count_nonzero,
        "var": along.variance("linear"),
        "std": along.variance("sqrt"),
        "var_mean": along.variance_and_mean("linear"),
        "std_mean": along.variance_and_mean("sqrt"),
        "norm": distances.norm,
        "linalg_vector_norm": distances.linalg_vector_norm,
        "logsumexp": along.logsumexp,
        "trace": along.trace,
        "cumsum": along.running("sum"),
        "cumprod": along.running("product"),
        "cummax": along.extreme_so_far("max"),
        "cummin": along.extreme_so_far("min"),
        "logcumsumexp": along.logcumsumexp,
        "trapezoid": along.trapezoid,
        "cumulative_trapezoid": along.cumulative_trapezoid,
        "gradient": along.gradient,
        "diff": along.diff,
        "cosine_similarity": distances.cosine_similarity,
        "pairwise_distance": distances.pairwise_distance,
        "cdist": distances.cdist,
        "dist": distances.dist,
        "pdist": distances.pdist,
        "renorm": distances.renorm,
        **losses.LOSSES,
    },
    "Resizing": {
        **{f"upsample_nearest{n}d": resizing.nearest(n) for n in RANKS},
        **{f"_upsample_nearest_exact{n}d": resizing.nearest(n, exact=True) for n in RANKS},
        "upsample_linear1d": resizing.interpolated(1, "linear"),
        "upsample_bilinear2d": resizing.interpolated(2, "linear"),
        "upsample_trilinear3d": resizing.interpolated(3, "linear"),
        "upsample_bicubic2d": resizing.interpolated(2, "cubic"),
        "_upsample_bilinear2d_aa": resizing.interpolated(2, "linear", antialias=True),
        "_upsample_bicubic2d_aa": resizing.interpolated(2, "cubic", antialias=True),
        "grid_sampler": resizing.grid_sampler,
        "affine_grid_generator": resizing.affine_grid,
    },
    "Views": {
        **dict.fromkeys(("alias", "detach", "clone", "contiguous", "lift_fresh_copy", "lift_fresh", "positive", "real"), views.unchanged),
        **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), views.dropout),
        "view": views.view,
        "reshape": views.view,
        "_unsafe_view": views.view,
        "view_as": views.view_as,
        "reshape_as": views.view_as,
        "ravel": views.flatten,
        "flatten": views.flatten,
        "unflatten": views.unflatten,
        "permute": views.permute,
        "transpose": views.transpose,
        "swapdims": views.transpose,
        "swapaxes": views.swapaxes,
        "t": views.t,
        "numpy_T": views.t,
        "mT": views.last_two,
        "mH": views.last_two,
        "adjoint": views.last_two,
        **dict.fromkeys(("movedim", "moveaxis"), views.movedim),
        "select": views.select,
        "slice": views.slice_,
        "narrow": views.narrow,
        "unsqueeze": views.unsqueeze,
        "squeeze": views.squeeze,
        "expand": views.expand,
        "broadcast_to": views.expand,
        "expand_as": views.expand_as,
        "broadcast_tensors": views.broadcast_tensors,
        "repeat": views.repeat,
        "tile": views.repeat,
        "repeat_interleave": views.repeat_interleave,
        **dict.fromkeys(("cat", "concat", "concatenate"), joining.cat),
        "stack": joining.stack,
        "hstack": joining.joined_along(1, 1),
        "vstack": joining.joined_along(0, 2),
        "dstack": joining.joined_along(2, 3),
        "column_stack": joining.column_stack,
        **{f"atleast_{n}d": views.atleast(n) for n in RANKS},
        **dict.fromkeys(("chunk", "unsafe_chunk"), joining.chunk),
        **dict.fromkeys(("split", "split_with_sizes", "unsafe_split"), joining.split),
        "tensor_split": joining.tensor_split,
        "hsplit": joining.split_along(1),
        "vsplit": joining.split_along(0),
        "dsplit": joining.split_along(2),
        "unbind": joining.unbind,
        "block_diag": joining.block_diag,
        "cartesian_prod": joining.cartesian_prod,
        "combinations": joining.combinations,
        "vander": joining.decreasing_vander,
        "linalg_vander": joining.vander,
        "unfold": patches.unfold,
        "roll": views.roll,
        "flip": views.flip,
        "fliplr": views.flip_axis(1),
        "flipud": views.flip_axis(0),
        "rot90": views.rot90,
        "diagonal": diagonals.diagonal,
        "diag": diagonals.diag,
        "diagflat": diagonals.diagflat,
        "diag_embed": diagonals.diag_embed,
        "tril": diagonals.triangle(lower=True),
        "triu": diagonals.triangle(lower=False),
        "pad": padding.pad,
        "constant_pad_nd": padding.constant_pad_nd,
        **{f"reflection_pad{n}d": padding.mode_pad("reflect") for n in RANKS},
        **{f"replication_pad{n}d": padding.mode_pad("replicate") for n in RANKS},
        "pixel_shuffle": patches.pixel_shuffle,
        "pixel_unshuffle": patches.pixel_unshuffle,
        "channel_shuffle": patches.channel_shuffle,
        "as_strided": views.as_strided,
        "meshgrid": views.meshgrid,
    },
    "Places": {
        "index": indexing.at_places,
        "index_select": indexing.index_select,
        "take": indexing.take,
        "gather": indexing.gather,
        "take_along_dim": indexing.take_along_dim,
        "masked_select": indexing.masked_select,
        "index_put": indexing.index_put,
        "scatter": indexing.scatter,
        "scatter_add": indexing.scatter_add,
        "scatter_reduce": indexing.scatter_reduce,
        "index_reduce": indexing.index_reduce,
        "index_add": indexing.index_add,
        "index_copy": indexing.index_copy,
        "index_fill": indexing.index_fill,
        "masked_scatter": indexing.masked_scatter,
        "put": indexing.put,
        "fill_diagonal": indexing.fill_diagonal,
        "slice_scatter": indexing.slice_scatter,
        "select_scatter": indexing.select_scatter,
        "diagonal_scatter": indexing.diagonal_scatter,
        "searchsorted": indexing.searchsorted,
        "bucketize": indexing.bucketize,
        "sort": indexing.sort(),
    },
    "Constants": dict(creation.CREATION),
}


def of_live_values(rule: Rule) -> Rule:
    """The same rule, which refuses constants alone: it would take their numbers for ids."""

    @wraps(rule)
    def same(here: Scope, *operands: Any, **options: Any) -> Any:
        if not any(True for _ in leaves((operands, options), Live)):
            raise Unsupported("is given constants alone, of which it has no rule")
        return rule(here, *operands, **options)

    return same


DECLARED = frozenset(  # make no numbers of what a constant only declares: whatever its size, it takes no memory
    "alias chunk detach diagonal expand expand_as broadcast_to movedim narrow permute select slice split split_with_sizes squeeze swapaxes t "
    "tensor_split transpose unbind unsqueeze zeros ones empty zeros_like ones_like empty_like full full_like new_zeros new_ones new_empty new_full "
    "fill zero sym_size sym_numel".split()
)


def table() -> dict[str, dict[str, Rule]]:
    """The families with ATen's names in full, second names among them."""
    rules_of = {family: {name: rule if name in DECLARED else bounded(rule) for name, rule in rules.items()} for family, rules in FAMILIES.items()}
    with_full_names = {family: {f"aten.{name}": rule for name, rule in rules.items()} for family, rules in rules_of.items()}
    by_kind = {kind: (family, rule) for family, rules in with_full_names.items() for kind, rule in rules.items()}
    for alias, name in ALIASES.items():
        if f"aten.{name}" in by_kind:
            family, rule = by_kind[f"aten.{name}"]
            with_full_names[family].setdefault(f"aten.{alias}", rule)
    for family in ("Pooling", "Resizing", "Recurrent"):
        with_full_names[family] = {kind: of_live_values(rule) for kind, rule in with_full_names[family].items()}
    with_full_names["In place"] = {"inplace.write": indexing.write, "inplace.read": indexing.read}
    with_full_names["Constants"]["aten.constant"] = views.constant_output
    with_full_names["Sizes"] = sizes.SIZES
    return with_full_names


ATEN = Dialect(
    title="PyTorch",
    families=table(),
    refused={f"aten.{name}": why for name, why in REFUSED.items()},
    ignored=frozenset("pin_memory non_blocking copy requires_grad names path implicit generator".split()),
    batched=True,
)
