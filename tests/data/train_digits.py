"""Train the small network of this folder on scikit-learn's handwritten digits: `python tests/data/train_digits.py [FOLDER]`.

Writes digits_cnn.h5 and digits_cnn.keras (the same model) beside itself, or into FOLDER, and prints the accuracy on the 450 digits it never saw.
Writes one of those as well: four.json, 64 greys row by row.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 7
EPOCHS = 30


def digits() -> list[NDArray[np.float32]]:
    """1,797 pictures of 8x8 greys in 0..1 and their digits: training and test pictures, training and test digits."""
    pictures, labels = load_digits(return_X_y=True)
    x = (pictures.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    split: list[NDArray[np.float32]] = train_test_split(x, labels, test_size=450, random_state=SEED, stratify=labels)
    return split


def network() -> keras.Model:
    """Two convolutions, a pool and a dense layer: 2,698 parameters."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="pixels"),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="strokes"),
            layers.Conv2D(16, 3, activation="relu", name="shapes"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.25, name="dropout"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_cnn",
    )


def main(folder: Path) -> None:
    keras.utils.set_random_seed(SEED)
    x, x_test, y, y_test = digits()
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    model.save(folder / "digits_cnn.h5", include_optimizer=False)
    model.save(folder / "digits_cnn.keras", include_optimizer=False)
    four = x_test[y_test == 4][0]
    (folder / "four.json").write_text(json.dumps(four.reshape(-1).tolist()) + "\n", encoding="utf-8")
    print(f"accuracy on {len(y_test)} unseen digits: {accuracy:.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
