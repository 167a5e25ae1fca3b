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

sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # beside TensorFlow, which other tests import, it aborts the process
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
        self.register_buffer("order", torch.tensor([2, 0, 1]))

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
    "a choice": lambda m, x: torch.where(x > 0, x, m.weight),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str) -> None:
    check(Function(FUNCTIONS[name]), image(1, 3, 4))


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
    ):
        check(model, positions)
