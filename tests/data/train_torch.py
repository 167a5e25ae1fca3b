"""Writes digits_torch.pt2, .pth, _legacy.pth (as before torch 1.6), .safetensors and .npz: a small network trained on scikit-learn's digits.

The .npz holds what PyTorch computes with it.

python tests/data/train_torch.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).parent


class Digits(nn.Module):
    """8 x 8 greys to ten classes; half of the channels are doubled through a view, and ReLU writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(6 * 4 * 4, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.conv(image))
        hidden[:, :3].mul_(2.0)
        return self.dense(self.pool(self.relu(hidden)).flatten(1))


def save_program(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Export a network without the stack traces, which name folders of the machine."""
    program = torch.export.export(model, (example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
    classes = torch.tensor(digits.target)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[:1500]), classes[:1500]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print("accuracy on digits not seen:", float((model(images[1500:]).argmax(1) == classes[1500:]).float().mean()))
        np.savez(HERE / "digits_torch.npz", images=images[1500:1504].numpy(), outputs=model(images[1500:1504]).numpy())
    save_program(model, images[:1].clone(), HERE / "digits_torch.pt2")
    torch.save(model.state_dict(), HERE / "digits_torch.pth")
    torch.save(model.state_dict(), HERE / "digits_torch_legacy.pth", _use_new_zipfile_serialization=False)
    save_file(model.state_dict(), HERE / "digits_torch.safetensors")
    save_program(Digits().to("meta").eval(), images[:1].clone().to("meta"), HERE / "digits_torch_meta.pt2")


if __name__ == "__main__":
    main()
