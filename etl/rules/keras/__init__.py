"""Keras' page: layer kind -> the function that says who meets whom.

A rule takes a Scope, the ids of the layer's inputs, and as keywords the options and weights that it supports; it returns the ids of
the outputs. What a rule doesn't name is refused. To add one: docs/adding-a-layer.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from etl.rules.dialect import Dialect
from etl.rules.keras.activation import activation_layer, elu, leaky_relu, prelu, relu, softmax, thresholded_relu
from etl.rules.keras.activation_names import COMPOSED, keras_activation
from etl.rules.keras.attention import additive_attention, attention, group_query_attention, multi_head_attention
from etl.rules.keras.convolution import convolution, depthwise_convolution, separable_convolution, transposed_convolution
from etl.rules.keras.convolutional_lstm import convolutional_lstm
from etl.rules.keras.dense import dense, einsum_dense
from etl.rules.keras.embedding import embedding
from etl.rules.keras.encoding import category_encoding, discretization, reversible_embedding, stft_spectrogram
from etl.rules.keras.expressions import expression
from etl.rules.keras.local import locally_connected
from etl.rules.keras.masking import masking
from etl.rules.keras.merge import add, average, concatenate, dot, dot_2, maximum, minimum, multiply, scaled_sum, subtract
from etl.rules.keras.nodes import tensorflow_node
from etl.rules.keras.normalization import (
    batch_normalization,
    group_normalization,
    layer_normalization,
    layer_scale,
    normalization,
    rescaling,
    rms_normalization,
    spectral_normalization,
    unit_normalization,
    unit_normalization_2,
)
from etl.rules.keras.operations import OPERATIONS
from etl.rules.keras.options import AUGMENTATION, IGNORED, IGNORED_BY
from etl.rules.keras.pooling import (
    adaptive_average_pooling,
    adaptive_max_pooling,
    average_pooling,
    global_average_pooling,
    global_max_pooling,
    max_pooling,
)
from etl.rules.keras.recurrent import CELLS, cudnn_gru, cudnn_lstm, gru, lstm, rnn, simple_rnn, single_step
from etl.rules.keras.resize import center_crop, random_crop, random_crop_2, resizing, up_sampling
from etl.rules.keras.shape import cropping, flatten, permute, repeat_vector, reshape, unchanged, zero_padding
from etl.rules.keras.wrappers import annotated, bidirectional, time_distributed

# Image layers that return what they get at inference, whatever their options.
AT_TRAINING_ONLY = (
    "RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur "
    "RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness "
    "RandomShear RandomTranslation RandomWidth RandomZoom RandAugment AugMix CutMix MixUp Solarization"
).split()

FAMILIES: dict[str, dict[str, Callable[..., Any]]] = {
    "Dense": {
        "Dense": dense,
        "EinsumDense": einsum_dense,
        "Embedding": embedding,
    },
    "Convolution": {
        **{f"Conv{n}D": convolution for n in (1, 2, 3)},
        **{f"Conv{n}DTranspose": transposed_convolution for n in (1, 2, 3)},
        **{f"DepthwiseConv{n}D": depthwise_convolution for n in (1, 2)},
        **{f"SeparableConv{n}D": separable_convolution for n in (1, 2)},
        **{f"LocallyConnected{n}D": locally_connected for n in (1, 2)},
    },
    "Pooling": {
        **{f"MaxPooling{n}D": max_pooling for n in (1, 2, 3)},
        **{f"AveragePooling{n}D": average_pooling for n in (1, 2, 3)},
        **{f"GlobalMaxPooling{n}D": global_max_pooling for n in (1, 2, 3)},
        **{f"GlobalAveragePooling{n}D": global_average_pooling for n in (1, 2, 3)},
        **{f"AdaptiveMaxPooling{n}D": adaptive_max_pooling for n in (1, 2, 3)},
        **{f"AdaptiveAveragePooling{n}D": adaptive_average_pooling for n in (1, 2, 3)},
    },
    "Shape": {
        "Flatten": flatten,
        "Reshape": reshape,
        "Permute": permute,
        "RepeatVector": repeat_vector,
        "Masking": masking,
        **{f"ZeroPadding{n}D": zero_padding for n in (1, 2, 3)},
        **{f"Cropping{n}D": cropping for n in (1, 2, 3)},
        **{f"UpSampling{n}D": up_sampling for n in (1, 2, 3)},
        "Identity": unchanged,
        "ActivityRegularization": unchanged,
        "Dropout": unchanged,
        **{f"SpatialDropout{n}D": unchanged for n in (1, 2, 3)},
        "AlphaDropout": unchanged,
        "GaussianDropout": unchanged,
        "GaussianNoise": unchanged,
        "StochasticDepth": unchanged,
    },
    "Images": {
        "Resizing": resizing,
        "CenterCrop": center_crop,
        "RandomCrop": random_crop,
        **dict.fromkeys(AT_TRAINING_ONLY, unchanged),
    },
    "Recurrent": {
        "SimpleRNN": simple_rnn,
        "LSTM": lstm,
        "GRU": gru,
        "CuDNNLSTM": cudnn_lstm,
        "CuDNNGRU": cudnn_gru,
        "RNN": rnn,
        **{kind: single_step(cell) for kind, cell in CELLS.items()},
        **{f"ConvLSTM{n}D": convolutional_lstm for n in (1, 2, 3)},
        "Bidirectional": bidirectional,
        "TimeDistributed": time_distributed,
        "QuantizeAnnotate": annotated,
    },
    "Attention": {
        "Attention": attention,
        "AdditiveAttention": additive_attention,
        "MultiHeadAttention": multi_head_attention,
        "GroupQueryAttention": group_query_attention,
    },
    "Activation": {
        "Activation": activation_layer,
        "ReLU": relu,
        "LeakyReLU": leaky_relu,
        "PReLU": prelu,
        "ELU": elu,
        "ThresholdedReLU": thresholded_relu,
        "Softmax": softmax,
    },
    "Normalization": {
        "BatchNormalization": batch_normalization,
        "LayerNormalization": layer_normalization,
        "GroupNormalization": group_normalization,
        "RMSNormalization": rms_normalization,
        "UnitNormalization": unit_normalization,
        "Normalization": normalization,
        "Rescaling": rescaling,
        "SpectralNormalization": spectral_normalization,
        "LayerScale": layer_scale,
    },
    "Merging": {
        "Add": add,
        "Subtract": subtract,
        "Multiply": multiply,
        "Average": average,
        "Maximum": maximum,
        "Minimum": minimum,
        "Concatenate": concatenate,
        "Dot": dot,
        "CustomScaleLayer": scaled_sum,
        "Custom>CustomScaleLayer": scaled_sum,  # as Keras 2 registers it
    },
    "Encoding": {
        "CategoryEncoding": category_encoding,
        "Discretization": discretization,
        "ReversibleEmbedding": reversible_embedding,
        "STFTSpectrogram": stft_spectrogram,
    },
    "Operations": {
        **OPERATIONS,
        "TensorFlowOpLayer": tensorflow_node,
        "Lambda": expression,
    },
}
OWN: dict[str, Callable[..., Any]] = {}  # rules for layers of somebody's own, put here by their program: docs/adding-a-layer.md
OF_KERAS_2: dict[str, Callable[..., Any]] = {
    "RandomCrop": random_crop_2,
    "UnitNormalization": unit_normalization_2,
    "Dot": dot_2,
}  # where it means something else

# What has no rule, and why.
REFUSED: dict[str, str] = {
    **dict.fromkeys(("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"), "wraps a program of another library, stored as code or elsewhere"),
    **dict.fromkeys(("Layer", "Wrapper", "AbstractRNNCell", "PreprocessingLayer"), "is what other layers are built on, no layer by itself"),
    **dict.fromkeys(("Input", "InputSpec"), "describes an input, no layer by itself; the layer is InputLayer"),
    **dict.fromkeys(("StringLookup", "TextVectorization"), "reads text, which no neuron holds; give the model its numbers"),
    **dict.fromkeys(("Hashing", "HashedCrossing"), "hashes its input, which no sum, product or activation does"),
    **dict.fromkeys(("IntegerLookup", "DynamicLookup", "DynamicEmbedding"), "looks its input up in a vocabulary; give the model what it finds"),
    "DenseFeatures": "reads feature columns, among them text and hashes; give the model their numbers",
    "RandomFourierFeatures": "takes a cosine, which is none of Keras' activations",
    "MelSpectrogram": "measures loudness against the loudest of the whole batch; STFTSpectrogram has a rule",
    "AutoContrast": "leaves an image of one colour as it is, a choice that depends on the example",
    **dict.fromkeys(
        ("Equalization", "ContrastLimitedAdaptiveHistogramEqualization"),
        "counts how often each value occurs, which no sum or product does",
    ),
    "MaxNumBoundingBoxes": "moves bounding boxes, which are labels and nothing that a network computes",
    "Pipeline": "is a chain of preprocessing layers without a graph in the file; put them into the model one by one",
}

KERAS3 = Dialect(
    title="Keras 3",
    families={**FAMILIES, "Your own": OWN},
    refused=REFUSED,
    ignored=IGNORED,
    ignored_by={**IGNORED_BY, **dict.fromkeys(AT_TRAINING_ONLY, AUGMENTATION)},
    activation=partial(keras_activation, keras=3),
    composed=COMPOSED,
)
KERAS2 = replace(
    KERAS3,
    title="Keras 2",
    families={
        **{family: {kind: OF_KERAS_2.get(kind, rule) for kind, rule in rules.items()} for family, rules in FAMILIES.items()},
        "Your own": OWN,
    },
    activation=partial(keras_activation, keras=2),
)
