"""The page of all rules: layer kind -> the function that says who meets whom.

A rule takes a Scope, the ids of the layer's inputs, and as keywords the options and weights that it supports; it returns the ids of
the outputs. What a rule doesn't name is refused. To add one: docs/adding-a-layer.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.rules.activation import activation_layer
from etl.rules.convolution import convolution
from etl.rules.dense import dense
from etl.rules.embedding import embedding, masking
from etl.rules.normalization import batch_normalization
from etl.rules.pooling import average_pooling_2d, max_pooling_2d
from etl.rules.recurrent import gru, lstm, rnn, simple_rnn
from etl.rules.shape import flatten, permute, reshape, unchanged
from etl.rules.wrappers import bidirectional, time_distributed

FAMILIES: dict[str, dict[str, Callable[..., Any]]] = {
    "Dense": {
        "Dense": dense,
        "Embedding": embedding,
        "Masking": masking,
    },
    "Convolution": {
        "Conv2D": convolution,
    },
    "Pooling": {
        "MaxPooling2D": max_pooling_2d,
        "AveragePooling2D": average_pooling_2d,
    },
    "Shape": {
        "Flatten": flatten,
        "Reshape": reshape,
        "Permute": permute,
        "Dropout": unchanged,
    },
    "Images": {},
    "Recurrent": {
        "SimpleRNN": simple_rnn,
        "LSTM": lstm,
        "GRU": gru,
        "RNN": rnn,
        "Bidirectional": bidirectional,
        "TimeDistributed": time_distributed,
    },
    "Attention": {},
    "Activation": {
        "Activation": activation_layer,
    },
    "Normalization": {
        "BatchNormalization": batch_normalization,
    },
    "Merging": {},
    "Operations": {},
}
RULES = {kind: rule for family in FAMILIES.values() for kind, rule in family.items()}
