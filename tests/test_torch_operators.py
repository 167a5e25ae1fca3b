"""PyTorch's operators, modules and networks: the graph of an exported program, run forward from its tables alone, beside PyTorch in float64."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from etl.errors import Unsupported  # noqa: E402
from etl.graph.selection import graph_of  # noqa: E402
from etl.graph.trace import trace  # noqa: E402
from etl.graph.traced import Graph  # noqa: E402
from etl.readers import read_live  # noqa: E402
from tests.forward import run_graph  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
nn, functional = torch.nn, torch.nn.functional


def randomize(module: Any) -> Any:
    """Weights under which a wrong graph shows: nothing zero, nothing equal, variances positive."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif isinstance(tensor, nn.Parameter) or name.endswith("running_mean"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) / max(tensor[0].numel() if tensor.ndim else 1, 1) ** 0.5)
    return module.eval()


def tensors(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in (value.values() if isinstance(value, dict) else value or ()) for tensor in tensors(part)]


def check(module: Any, *examples: Any, path: Path | None = None) -> Graph:
    """Assert that the graph computes what the module does. Whole numbers are given one-hot where the graph has them so."""
    randomize(module)
    with torch.no_grad():
        exported = torch.export.export(module, examples)
        wanted = tensors(deepcopy(module).double()(*(x.double() if x.is_floating_point() else x for x in examples)))
    if path is None:
        graph = trace(read_live(exported))
    else:
        torch.export.save(exported, path)
        graph = graph_of(path)
    given = [
        np.eye(row.shape[-1])[x.numpy()] if not x.is_floating_point() and np.prod(row.shape) != x.numel() else x.numpy()
        for x, row in zip(examples, graph.rows, strict=False)
    ]
    for mine, want in zip(run_graph(graph, given), wanted, strict=True):
        reference = want.double().numpy().reshape(-1)
        assert np.abs(reference).max() > 1e-6
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-5 * np.abs(reference).max())
    return graph


class Function(nn.Module):
    """A function as a module, with some constants at hand."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(3, 4))
        self.exponent = nn.Parameter(torch.ones(1))
        self.register_buffer("order", torch.tensor([2, 0, 1]))
        self.register_buffer("edges", torch.tensor([-1.0, -0.2, 0.4, 1.0]))

    def forward(self, *values: Any) -> Any:
        return self.function(self, *values)


def image(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


MODULES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "Conv2d circular": lambda: (nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 2), padding_mode="circular"), image(1, 2, 7, 6)),
    "Conv2d same": lambda: (nn.Conv2d(2, 4, (4, 3), padding="same", dilation=(1, 2)), image(1, 2, 8, 9)),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=1, groups=2), image(1, 4, 5, 4)),
    "MaxPool2d": lambda: (nn.MaxPool2d(2, stride=3, dilation=2, ceil_mode=True), image(1, 2, 7, 8)),
    "AvgPool2d": lambda: (nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), image(1, 2, 7, 8)),
    "AdaptiveAvgPool2d": lambda: (nn.AdaptiveAvgPool2d((3, 2)), image(1, 2, 7, 8)),
    "GroupNorm": lambda: (nn.GroupNorm(2, 6), image(1, 6, 4, 3)),
    "LocalResponseNorm": lambda: (nn.LocalResponseNorm(3, alpha=0.1, beta=0.7, k=2.0), image(1, 5, 4, 3)),
    "Softplus": lambda: (nn.Softplus(2.0, 3.0), 3 * image(1, 12)),
    "Dropout in place": lambda: (nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.3, inplace=True)), image(1, 4)),
    "LSTM": lambda: (nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), image(1, 5, 3)),
    "GRU": lambda: (nn.GRU(3, 4, batch_first=True), image(1, 5, 3)),
    "MultiheadAttention": lambda: (nn.MultiheadAttention(8, 2, batch_first=True), image(1, 5, 8), image(1, 4, 8), image(1, 4, 8)),
    "TransformerDecoderLayer": lambda: (nn.TransformerDecoderLayer(8, 2, 12, batch_first=True), image(1, 5, 8), image(1, 4, 8)),
    "Embedding": lambda: (nn.Embedding(7, 4), torch.tensor([[3, 0, 6]])),
    "Upsample": lambda: (nn.Upsample(scale_factor=(1.7, 0.6), mode="bicubic"), image(1, 2, 4, 5)),
    "Fold": lambda: (nn.Fold((5, 6), (2, 3), padding=1, stride=(1, 2)), image(1, 12, 18)),
    "Bilinear": lambda: (nn.Bilinear(3, 4, 2), image(1, 3), image(1, 4)),
    "EmbeddingBag": lambda: (nn.EmbeddingBag(7, 3, mode="mean", padding_idx=1), torch.tensor([[2, 1, 5, 1]])),
    "EmbeddingBag of the largest": lambda: (nn.EmbeddingBag(7, 3, mode="max", padding_idx=1), torch.tensor([[2, 1, 1]])),
    "Embedding with max_norm": lambda: (nn.Embedding(7, 3, max_norm=0.5), torch.tensor([[2, 0, 5]])),
    "orthogonal": lambda: (nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), image(1, 4)),
    "spectral_norm": lambda: (nn.utils.spectral_norm(nn.Conv2d(2, 3, 3)), image(1, 2, 5, 4)),
    "kernel normalised by its own moments": lambda: (
        Function(lambda m, x: functional.linear(x, functional.batch_norm(m.weight[None], None, None, training=True)[0])), image(1, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_module(name: str, tmp_path: Path) -> None:
    check(*MODULES[name](), path=tmp_path / "module.pt2")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "inner": lambda m, x: torch.inner(x, x + 1),
    "trace": lambda m, x: torch.trace(x[0]),
    "atan": lambda m, x: torch.atan(x),
    "asin and acos": lambda m, x: torch.asin(0.2 * x) + 2 * torch.acos(0.1 * x),
    "inverse hyperbolic functions": lambda m, x: torch.asinh(x) + torch.atanh(0.2 * x) + torch.acosh(x.abs() + 1.1),
    "what is a number": lambda m, x: torch.isfinite(x).float() + 2 * torch.isnan(x) + 4 * torch.isinf(x),
    "a repeated value is read as often": lambda m, x: torch.broadcast_to(x, (2, 3, 4)).sum(0),
    "a repeated value is multiplied as often": lambda m, x: x.expand(3, 3, 4).prod(0),
    "products of constants": lambda m, x: x @ torch.einsum("ij,kj->jk", m.weight, m.weight.exp()),
    "linear of a constant": lambda m, x: x + functional.linear(m.weight.exp()[None, None], m.weight.T @ m.weight)[0],
    "whole constants stay whole": lambda m, x: x[:, (m.order - 2).abs()] * 2 + x[:, -(m.order - 2)],
    "softmax along the middle": lambda m, x: x.softmax(1),
    "argmax": lambda m, x: x.argmax(-1),
    "convolution of a constant": lambda m, x: x + functional.conv1d(m.weight.exp()[None], m.weight[:, None, :3], padding=1, groups=3),
    "powers that differ": lambda m, x: x.pow(torch.tensor([0, 1, 2, 3])) + x.abs() ** m.weight,
    "a live power": lambda m, x: (x.abs() + 0.1) ** x,
    "one stored number as power": lambda m, x: x.clamp(min=0.1) ** m.exponent,
    "atan2": lambda m, x: torch.atan2(x, m.weight) + 2 * torch.atan2(x.roll(1, 2), x),
    "copysign": lambda m, x: torch.copysign(x, m.weight) + 2 * torch.copysign(m.weight, x) + 4 * torch.signbit(x),
    "isclose": lambda m, x: torch.isclose(x, m.weight, atol=0.5) + 2 * torch.isclose(m.weight, x, rtol=0.5),
    "isin": lambda m, x: torch.isin(x.round(), torch.tensor([0.0, 1.0])),
    "logarithms of products": lambda m, x: (
        torch.xlogy(m.weight.relu(), x.abs()) + torch.xlogy(x.relu(), m.weight.exp()) + torch.special.entr(x.exp())
    ),
    "buckets": lambda m, x: torch.bucketize(x, m.edges) + 10 * torch.bucketize(x, m.edges, right=True) + torch.searchsorted(m.edges, x),
    "constants from the largest": lambda m, x: (
        x
        + sum(
            (10**place) * (lambda value, index: value.nan_to_num(5) + index)(*values.sort(descending=True, stable=True))
            for place, values in enumerate(
                (
                    torch.tensor([0, 7, 0, 255], dtype=torch.uint8),
                    torch.tensor([-128, 3, 127, -128], dtype=torch.int8),
                    torch.tensor([True, False, True, False]),
                    torch.tensor([1.0, torch.nan, 2.0, 1.0]),
                )
            )
        )
    ),
    "one_hot": lambda m, x: functional.one_hot(x.argmax(-1), 4) * m.weight[:1],
    "embedding of a computed place": lambda m, x: functional.embedding(torch.bucketize(x, m.edges[:2]), m.weight),
    "scatter_reduce": lambda m, x: sum(
        x.scatter_reduce(1, m.order[None, [0, 0, 1], None].expand(1, 3, 4), m.weight[None], way, include_self=own)
        for way in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ),
    "scatter_reduce of a constant": lambda m, x: x.new_ones(1, 2, 4).scatter_reduce(1, m.order[None, [1, 1, 2], None].expand(1, 3, 4), x, "mean"),
    "index_reduce": lambda m, x: x.index_reduce(1, m.order[[0, 0, 1]], m.weight[None], "prod"),
    "index_put by a mask": lambda m, x: x.index_put((x > 0,), torch.tensor(2.0)),
    "so far": lambda m, x: torch.cummax(x, 1)[0] + torch.cummin(x, 2)[1] + torch.logcumsumexp(x, 2),
    "areas": lambda m, x: torch.trapezoid(x, m.edges) + torch.cumulative_trapezoid(x, dim=1).sum(),
    "matrices": lambda m, x: torch.linalg.inv(x[0, :, :3] + 3 * torch.eye(3)) @ torch.linalg.solve(m.weight[:, :3] + torch.eye(3), x[0]),
    "determinants": lambda m, x: torch.det(x[0, :, :3]) + torch.linalg.matrix_power(x[0, :, :3], 3) + torch.slogdet(x[:, :2, :2])[1],
    "norms of matrices": lambda m, x: torch.linalg.matrix_norm(x, 1) + torch.linalg.matrix_norm(x, float("inf")) + torch.linalg.matrix_norm(x),
    "norm of a constant along two axes": lambda m, x: x * torch.linalg.vector_norm(m.weight[None], 1, dim=(1, 2)),
    "choices of values": lambda m, x: torch.combinations(x[0, 0]).sum() + torch.cartesian_prod(x[0, 0], m.weight[0]),
    "blocks": lambda m, x: torch.block_diag(x[0], m.weight) @ torch.vander(m.weight[0], 8).T,
    "distances of pairs": lambda m, x: functional.pdist(x[0]) + torch.renorm(x, 2, 1, 0.5).sum(),
    "windows": lambda m, x: x * torch.hann_window(4) + torch.hamming_window(4, periodic=False) + torch.bartlett_window(4),
    "a choice": lambda m, x: torch.where(x > 0, x, m.weight),
    "one number of many": lambda m, x: x[0, 1, 2] * x + x[0, 0].unbind(0)[3] + torch.take(x, m.order[1]) + x[m.order[0] * 0, m.order[2], m.order[1]],
    "filled with one number": lambda m, x: torch.zeros(3, 4).fill_(x[0, 1, 2]) + x,
    "vector products": lambda m, x: torch.linalg.cross(x[..., :3], m.weight[None, :, 1:]) + torch.linalg.cross(m.weight[None, :, :3], x[..., 1:]),
}


# What depends on the types of tensors, which ids don't have, and operators of constants alone.
FUNCTIONS |= {
    "truths added are a truth": lambda m, x: ((x > 0) + (x > 1)) * m.weight,
    "bits of whole numbers": lambda m, x: ~x.long() * m.weight,
    "a cast to truths": lambda m, x: x.type_as(m.order > 0) + 2 * (5 * x).long().to(torch.bool),
    "like whole numbers": lambda m, x: torch.full_like(x.int(), 1.5) + x,
    "a fraction written into whole numbers": lambda m, x: torch.zeros(1, 3, 4, dtype=torch.long).copy_(5 * x) * m.weight,
    "truths in place": lambda m, x: (x > 0).__iand__(m.weight > 0) * m.weight,
    "scores of what is masked": lambda m, x: x.masked_fill(x < -0.5, float("-inf")).softmax(-1),
    "infinity where something isn't": lambda m, x: torch.where(x > 0, x, torch.tensor(float("-inf"))).exp() + 0.1 * x,
    "attention with a live mask": lambda m, x: functional.scaled_dot_product_attention(x, x, x, attn_mask=x[:, :, :1] > x[:, :, 1] - 2),
    "attention of constants": lambda m, x: x * functional.scaled_dot_product_attention(*[m.weight[None]] * 3),
    "the smallest constant's place": lambda m, x: x * m.weight.argmin(-1, keepdim=True) + m.weight.argmax(0),
    "normalised constants": lambda m, x: x * functional.layer_norm(m.weight, (4,)) + functional.group_norm(m.weight[None], 3) + m.weight.erfc(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str) -> None:
    check(Function(FUNCTIONS[name]), image(1, 3, 4))


CLASSES = torch.tensor([1, 0, 3])
LOSSES: dict[str, Callable[..., Any]] = {
    "cross entropy": lambda m, x: functional.cross_entropy(x[0], CLASSES, m.weight[0].abs(), label_smoothing=0.1, ignore_index=0),
    "cross entropy of places": lambda m, x: functional.cross_entropy(x.transpose(1, 2), CLASSES[None], reduction="none"),
    "cross entropy of shares": lambda m, x: functional.cross_entropy(x[0], m.weight.softmax(1), reduction="sum"),
    "nll_loss": lambda m, x: functional.nll_loss(x[0], CLASSES, m.weight[0].abs()),
    "binary": lambda m, x: functional.binary_cross_entropy(x.sigmoid(), (m.weight[None] > 0).to(x), m.weight.abs()),
    "binary of logits": lambda m, x: functional.binary_cross_entropy_with_logits(x, m.weight[None].sigmoid(), pos_weight=m.weight[0].abs()),
    "divergence": lambda m, x: functional.kl_div(x, m.weight[None].relu(), reduction="sum") + functional.kl_div(x, m.weight[None], log_target=True),
    "poisson": lambda m, x: functional.poisson_nll_loss(x, 9 * m.weight[None].abs(), full=True) + functional.poisson_nll_loss(x.exp(), x, False),
    "margins": lambda m, x: functional.multi_margin_loss(x[0], CLASSES, 2, 0.7, m.weight[0].abs()) + functional.soft_margin_loss(x, x),
    "margins of several": lambda m, x: functional.multilabel_margin_loss(x[0], torch.tensor([[3, 0, -1, 1]] * 3)),
    "hinge": lambda m, x: functional.hinge_embedding_loss(x, x.sign()) + functional.margin_ranking_loss(x, m.weight[None], x.sign(), 0.3),
    "cosine": lambda m, x: functional.cosine_embedding_loss(x[0], m.weight, CLASSES.sign() * 2 - 1, 0.2),
    "triplet": lambda m, x: functional.triplet_margin_loss(x[0], m.weight, x[0].roll(1, 0), swap=True),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_stays_in_the_network(name: str) -> None:
    check(Function(LOSSES[name]), image(1, 3, 4))


PLACES: dict[str, Callable[..., Any]] = {
    "the number itself": lambda m, t: functional.embedding(t, m.weight) * t[..., None],
    "what isn't padding": lambda m, t: (functional.embedding(t, m.weight) * (t != 0).unsqueeze(-1)).sum(1) / (t != 0).sum(1, keepdim=True),
    "the last place": lambda m, t: functional.embedding(t, m.weight)[torch.arange(1), (t != 0).sum(-1) - 2],
    "gathered": lambda m, t: functional.embedding(t, m.weight).gather(1, (t != 0).sum(-1)[:, None, None].expand(1, 1, 4) - 1),
    "rows of a table": lambda m, t: (
        m.weight[t] + m.weight.index_select(0, t[0]) + m.weight[t, torch.arange(4)][..., None] + m.weight.take(t)[..., None]
    ),
    "a computed place": lambda m, t: functional.embedding((t + 1) % 3, m.weight),
    "one_hot": lambda m, t: functional.one_hot(t, 3) @ m.order,
    "handed on": lambda m, t: (functional.embedding(t, m.weight), t),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_computed_from_whole_numbers(name: str) -> None:
    check(Function(PLACES[name]), torch.tensor([[2, 0, 1, 2]]))


def after(write: Callable[..., Any]) -> Callable[..., Any]:
    """What is left in a tensor that an operation writes into."""

    def function(m: Any, x: Any) -> Any:
        x = x * 1
        write(m, x)
        return x

    return function


IN_PLACE: dict[str, Callable[..., Any]] = {
    "add_": after(lambda m, x: x.add_(1)),
    "a slice": after(lambda m, x: x[:, 1:].add_(2.0)),
    "a view of a view": after(lambda m, x: x.view(1, 12)[:, ::2].mul_(3)),
    "a transposed row": after(lambda m, x: x.transpose(1, 2)[:, 0].sub_(m.weight[:, 0])),
    "a chunk": after(lambda m, x: x.chunk(2, -1)[1].add_(3)),
    "a row from another": after(lambda m, x: x.unbind(1)[2].add_(x.unbind(1)[0])),
    "assignment": after(lambda m, x: x.__setitem__((slice(None), slice(1, 3)), x[:, :2] * 2)),
    "assignment to places": after(lambda m, x: x.__setitem__((slice(None), [0, 2]), m.weight[:2])),
    "copy_": after(lambda m, x: x[:, 0].copy_(m.weight[0])),
    "fill_": after(lambda m, x: x[..., 1].fill_(2)),
    "zero_": after(lambda m, x: x[..., 1:3].zero_()),
    "masked_fill_": after(lambda m, x: x.masked_fill_(m.order[:, None] > 0, -1.0)),
    "index_add_": after(lambda m, x: x.index_add_(1, m.order, m.weight[None])),
    "index_copy_": after(lambda m, x: x.index_copy_(1, m.order[:2], m.weight[None, :2])),
    "index_fill_": after(lambda m, x: x.index_fill_(2, m.order, 3.0)),
    "index_put_": after(lambda m, x: x.index_put_((m.order[1:], m.order[1:]), m.weight[1], accumulate=True) if x.ndim == 2 else x.add_(m.weight)),
    "index_put_ twice": after(lambda m, x: x.index_put_((m.order * 0, m.order * 0 + 1), m.weight, accumulate=True)),
    "scatter_": after(lambda m, x: x.scatter_(1, m.order[None, :1, None].expand(1, 1, 4), m.weight[None])),
    "scatter_add_": after(lambda m, x: x.scatter_add_(1, m.order[None, :, None].expand(1, 3, 4), m.weight[None])),
    "put_": after(lambda m, x: x.put_(m.order, m.weight[:, 0])),
    "fill_diagonal_": after(lambda m, x: x[0].fill_diagonal_(3.0)),
    "relu_": after(lambda m, x: x.relu_()),
    "clamp_": after(lambda m, x: x.clamp_(-0.2, 0.2)),
    "dropout_": after(lambda m, x: functional.dropout(x, 0.2, False, inplace=True)),
    "tril_": after(lambda m, x: x.tril_()),
    "a clone stays": lambda m, x: (lambda base: (base.clone(), base.add_(5))[0])(x * 1),
    "a view sees what is written": lambda m, x: (lambda base, view: (base.add_(1), view * 2)[1])(*(lambda y: (y, y[:, 1]))(x * 1)),
    "a constant becomes live": lambda m, x: (lambda zeros: (zeros[:, 1].copy_(x[:, 1]), zeros)[1])(torch.zeros(1, 3, 4)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_operation_in_place(name: str) -> None:
    check(Function(IN_PLACE[name]), image(1, 3, 4))


REFUSED: dict[str, Callable[..., Any]] = {
    "topk": lambda m, x: x.topk(2)[0],
    "sort": lambda m, x: x.sort()[0],
    "nonzero": lambda m, x: x.nonzero(),
    "index": lambda m, x: x[0][(x[0, :, 0] > 0).long()],
    "rand_like": lambda m, x: x + torch.rand_like(x),
    "fft_rfft": lambda m, x: torch.fft.rfft(x).real,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_the_example_is_refused_by_name_and_place(name: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 4), Function(REFUSED[name])).eval()
    torch.export.save(torch.export.export(module, (image(1, 3, 4),)), tmp_path / "chosen.pt2")
    with pytest.raises(Unsupported, match=rf"chosen.*\b1(/{name})? \(aten\.{name}\)") as refused:
        graph_of(tmp_path / "chosen.pt2")
    assert "\n" not in str(refused.value)


def test_a_normalised_constant_with_a_bias_that_depends_on_the_example_is_refused() -> None:
    module = Function(lambda m, x: functional.layer_norm(m.weight, (4,), None, x.reshape(-1)[:4])).eval()
    with pytest.raises(Unsupported, match=r"aten\.layer_norm.*combines constants with what depends on the example"):
        trace(read_live(torch.export.export(module, (image(1, 3, 4),))))


def test_families_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    graph = check(models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3, width_per_group=64), image(1, 3, 16, 16))
    assert [row.type for row in graph.rows if row.name in ("layer1.0.conv1", "layer1.0.relu", "layer1.0.relu:1")] == ["Conv2d", "ReLU", "ReLU"]
    swin = models.swin_transformer
    check(
        swin.SwinTransformer([4, 4], 12, [2], [2], [4, 4], num_classes=3, block=swin.SwinTransformerBlockV2, downsample_layer=swin.PatchMergingV2),
        image(1, 3, 32, 32),
    )
    check(models.VisionTransformer(16, 8, 1, 2, 16, 24, num_classes=3), image(1, 3, 16, 16))


def test_a_module_is_read_beside_tensorflow() -> None:
    source = "import tensorflow, torch, etl; print(etl.read(torch.nn.Linear(3, 2), input_shapes=[(3,)]).plan().neurons)"
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["5"], result.stderr[-500:]


def test_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    positions = torch.tensor([[3, 1, 8, 2]])
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 9}
    for model in (
        transformers.LlamaModel(transformers.LlamaConfig(**small, num_key_value_heads=1, use_cache=False, pad_token_id=0)),
        transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=9, n_positions=6, use_cache=False)),
        transformers.T5EncoderModel(transformers.T5Config(d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2, vocab_size=9)),
        transformers.RobertaModel(transformers.RobertaConfig(**small, max_position_embeddings=8)),  # places count what isn't padding
        transformers.CLIPTextModel(transformers.CLIPTextConfig(**small, max_position_embeddings=6, eos_token_id=8)),  # reads the end of the text
    ):
        check(model, positions)
