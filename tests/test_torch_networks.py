"""Networks of strangers and published sizes. Oracle: PyTorch's own answer, and arithmetic written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import etl

torch = pytest.importorskip("torch")


def test_resnet18_of_32_pixels() -> None:
    models = pytest.importorskip("torchvision.models")
    plan = etl.read(models.resnet18(), input_shapes=[(3, 32, 32)]).plan()
    assert (plan.neurons, plan.edges) == (172_008, 22_336_832)


def test_inputs_of_half_precision() -> None:
    """What NumPy has no name for."""
    program = torch.export.export(torch.nn.ReLU(), (torch.zeros(1, 3, dtype=torch.bfloat16),))
    plan = etl.read(program).plan()
    assert (plan.neurons, plan.edges) == (6, 3)


def transformer_neurons(tokens: int, width: int, heads: int, hidden: int, layers: int) -> int:
    """Of the encoder of torchvision's VisionTransformer: softmax is a function of the scores' neurons (docs/graph.md), and no steps of its own."""
    values = tokens * width
    norm = 4 * values + 2 * tokens  # centred, squared, scaled, shifted; mean and variance
    attention = 3 * values + 2 * tokens * values + heads * tokens**2 + values + values  # q k v; products; scores; sums; projection
    return layers * (norm + attention + values + norm + 2 * tokens * hidden + values + values)  # with both shortcuts


def test_vision_transformers() -> None:
    transformer = pytest.importorskip("torchvision.models.vision_transformer").VisionTransformer
    network = transformer(image_size=8, patch_size=4, num_layers=2, num_heads=2, hidden_dim=6, mlp_dim=10, num_classes=3)
    begin, end = 3 * 8 * 8 + 4 * 6 + 6 + 5 * 6, 4 * 30 + 2 * 5 + 3  # picture, patches, class, positions; norm and head
    assert etl.read(network, input_shapes=[(3, 8, 8)]).plan().neurons == begin + transformer_neurons(5, 6, 2, 10, 2) + end
    # ViT-B/16 is the same network of other sizes, and 600 MB to export
    assert 3 * 224**2 + 196 * 768 + 768 + 197 * 768 + transformer_neurons(197, 768, 12, 3072, 12) + 4 * 197 * 768 + 2 * 197 + 1000 == 765_558_386


@pytest.mark.parametrize(("name", "side"), [("PNet", 12), ("RNet", 24), ("ONet", 48)])
def test_facenet_from_its_weights(name: str, side: int) -> None:
    """With the weights that facenet_pytorch ships: ceil_mode, PReLU with a slope a channel, a permutation before a dense layer, several outputs."""
    facenet = pytest.importorskip("facenet_pytorch")
    weights = Path(facenet.__file__).parent / "data" / f"{name.lower()}.pt"
    graph = etl.read(weights, architecture=f"facenet_pytorch:{name}?pretrained=false", input_shapes=[(3, side, side)])
    network = getattr(facenet, name)(pretrained=False)
    network.load_state_dict(torch.load(weights, weights_only=True))
    x = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    with torch.no_grad():
        theirs = network.eval()(torch.from_numpy(x))
    for mine, answer in zip(graph.forward(x), theirs, strict=True):
        np.testing.assert_allclose(mine.reshape(answer.shape), answer.numpy(), rtol=1e-4, atol=1e-5)
