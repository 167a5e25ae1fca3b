"""Writes digits_cnn.onnx, a small PyTorch network trained on digits, and digits_cnn_onnx.npz: two digits and what PyTorch returns for them.

python tests/data/train_digits_onnx.py
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).parent

torch.manual_seed(1)
pictures, labels = load_digits(return_X_y=True)
x = torch.tensor(pictures.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
y = torch.tensor(labels)
model = nn.Sequential()
model.add_module("conv1", nn.Conv2d(1, 4, 3, padding=1))
model.add_module("relu1", nn.ReLU())
model.add_module("pool", nn.MaxPool2d(2))
model.add_module("conv2", nn.Conv2d(4, 8, 3))
model.add_module("relu2", nn.ReLU())
model.add_module("flatten", nn.Flatten())
model.add_module("digit", nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), 0.01)
for _ in range(150):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
model.eval()
batch = torch.export.Dim("batch")
program = torch.onnx.export(
    model,
    (x[:2],),
    dynamo=True,
    verbose=False,
    input_names=["image"],
    dynamic_shapes={"input": {0: batch}},
)
assert program is not None
for node in program.model.graph:
    node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)  # it names folders of the machine
program.save(HERE / "digits_cnn.onnx", external_data=False)
np.savez(HERE / "digits_cnn_onnx.npz", image=x[:2].numpy(), digit=model(x[:2]).detach().numpy())
