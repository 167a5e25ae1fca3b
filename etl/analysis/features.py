"""Feature maps: a picture prepared as the model was trained on, what every layer makes of it, and that as values of the stored neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.verify import array, checked_examples, flowing_shapes, layers
from etl.analysis.verify import input_shapes as input_shapes_of
from etl.errors import BadFile, BadRequest, NotInStore, reason
from etl.extras import needed
from etl.frameworks import loaded, predictions
from etl.graph.forward import forward, onehot
from etl.graph.selection import Selection, graph_in
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import Model

if TYPE_CHECKING:
    from PIL.Image import Image

    from etl.store import Store

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue in 0..1
CAFFE = (103.939, 116.779, 123.68)  # its mean blue, green and red in 0..255
MARGIN = 256 / 224  # how much larger than the crop a picture is made first
ROUNDING = 1e-6  # of a pixel, by which a whole number of them may come out less
MOST_PIXELS = 200_000_000
MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Values = NDArray[Any]

# name -> greys 0..255 (height, width, channels) as the model takes them
PRESETS: Mapping[str, Callable[[Values], Values]] = {
    "imagenet": lambda x: (x / 255 - MEAN) / DEVIATION,
    "caffe": lambda x: x[..., ::-1] - CAFFE,
    "symmetric": lambda x: x / 127.5 - 1,
    "unit": lambda x: x / 255,
    "none": lambda x: x,
}
# what the architectures of keras.applications were trained with, by how their names or a layer's begin; newer ones prepare pictures themselves
TRAINED = {
    "caffe": ("vgg16", "vgg19", "resnet50", "resnet101", "resnet152"),
    "symmetric": (
        *("resnet50v2", "resnet101v2", "resnet152v2", "inception_v3", "inception_resnet_v2", "xception"),
        *("mobilenet_", "mobilenetv2", "expanded_conv_depthwise", "nasnet"),
    ),
    "imagenet": ("densenet", "resnet18", "resnet34", "alexnet"),
}
TORCHVISION = (
    *("alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "maxvit", "mnasnet", "mobilenet", "regnet", "resnet", "resnext"),
    *("shufflenet", "squeezenet", "swin", "vgg", "vit", "wide_resnet"),
)
PREPARES_ITSELF = {"Rescaling", "Normalization"}


@dataclass(frozen=True)
class Features:
    """What a model makes of one example.

    example  the picture's file name
    inputs   what it is given, one array an input, (1, *shape)
    values   each layer's output by name (*shape), in order
    preset   how the picture was prepared; None where the input was given as an array
    input_shapes  that were asked for
    """

    model: Model
    graph: Graph
    example: str
    inputs: list[Values]
    values: dict[str, Values]
    preset: str | None
    input_shapes: Sequence[Sequence[int]]

    def maps(self, name: str) -> Values:
        """A layer's output with its channels last, wherever the file has them: (height, width, channels), (units,) ..."""
        row = next((row for row in self.graph.rows if row.name == name), None)
        axis = None if row is None or row.shape != self.values[name].shape else row.channel_axis
        return self.values[name] if axis is None else np.moveaxis(self.values[name], axis, -1)


def features(
    path: Path,
    image: Path,
    *,
    preprocess: str | None = None,
    input_shapes: Sequence[Sequence[int]] = (),
    architecture: str | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Features:
    """Run a model on a picture (or a .npy array that is taken as it is). The file is trusted: its framework runs it.

    preprocess  one of PRESETS; None: what the model was trained with, as far as can be told
    constants   values of inputs that are options and no data, by name
    Raises BadFile where the picture can't be read, BadRequest where the model doesn't take one.
    """
    from etl.readers import read

    model = read(path, architecture, ignore_masks=True, constants=constants, input_shapes=input_shapes)
    graph = trace(model, input_shapes)
    preset = None
    if image.suffix == ".npy":
        inputs = checked_examples(graph, [array(image)])
    else:
        preset = preprocess or trained_with(model, channels_first(graph))
        picture = prepared(image, picture_shape(graph), preset)
        inputs = [(np.moveaxis(picture, -1, 0) if channels_first(graph) else picture)[None]]
    framework_model = loaded(path, model, architecture, input_shapes_of(graph), flowing_shapes(graph), constants or {})
    theirs, _ = predictions(framework_model, inputs)
    shapes = {row.name: row.shape for row in graph.rows}
    layer_values = {name: values[0].reshape(shapes.get(name, values.shape[1:])) for name, values in theirs.items()}
    return Features(model, graph, image.name, inputs, layer_values, preset, input_shapes)


def channels_first(graph: Graph) -> bool:
    """Whether the model's first input has its channels in front."""
    return graph.rows[0].channel_axis == 0


def picture_shape(graph: Graph) -> tuple[int, int, int]:
    """Height, width and channels of the pictures that a model takes. Raises BadRequest where it takes something else."""
    shapes = [step.shape for step in graph.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 3 and channels_first(graph):
        shapes = [(*shapes[0][1:], shapes[0][0])]
    if len(shapes) > 1:
        described = ", ".join(f"{step.name} {list(step.shape)}" for step in graph.inputs)
        raise BadRequest(
            f"{graph.model.name} takes {described}: more than one picture; fix those of ONNX files that are options with --constant NAME=VALUE"
        )
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] not in MODES:
        described = ", ".join(str(list(shape)) for shape in shapes)
        raise BadRequest(f"{graph.model.name} takes {described}, which is no picture: give an array of that shape in a .npy file instead")
    height, width, channels = shapes[0]
    return height, width, channels


def trained_with(model: Model, torch: bool = False) -> str:
    """The preset that a model was trained with: by its architecture's name, else 0..1, and as it is where the model prepares pictures itself.

    torch  the architecture is PyTorch's of that name, which all take ImageNet's mean and deviation off (https://pytorch.org/vision/stable/models.html)
    """
    layers = list(model.network.every_layer())
    if any(layer.kind in PREPARES_ITSELF for layer in layers):
        return "none"
    names = [model.name.lower(), *(layer.name.lower() for layer in layers)]
    presets = {"imagenet": TORCHVISION} if torch else TRAINED
    starts_by_length = sorted(((start, preset) for preset, starts in presets.items() for start in starts), key=lambda pair: -len(pair[0]))
    return next((preset for name in names for start, preset in starts_by_length if name.startswith(start)), "unit")


def prepared(path: Path, shape: tuple[int, int, int], preset: str) -> Values:
    """A picture as a model takes it, float32 (height, width, channels).

    Its shorter side is made 256 for a crop of 224, and in that proportion for other sizes (for the presets that are not for photographs,
    the size of the crop itself); then the centre is cut out, to the pixel as torchvision's Resize and CenterCrop do. Raises BadFile where it can't
    be read.
    """
    height, width, channels = shape
    if preset in ("imagenet", "caffe") and channels != 3:
        raise BadRequest(f"--preprocess {preset} is for three colours, the model takes {channels} channels: take unit, symmetric or none")
    picture = eight_bit(opened_picture(path), path).convert(MODES[channels])
    scale = max(height / picture.height, width / picture.width) * (MARGIN if preset in ("imagenet", "caffe") else 1)
    size = max(width, int(picture.width * scale + ROUNDING)), max(height, int(picture.height * scale + ROUNDING))
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    picture = picture.resize(size, resample=2).crop((left, top, left + width, top + height))  # 2: bilinear
    return PRESETS[preset](np.asarray(picture, dtype=np.float64).reshape(shape)).astype(np.float32)


def opened_picture(path: Path) -> Image:
    """A picture, upright. Raises BadFile where it is none, or too large."""
    needed("PIL")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadFile(f"{path}: {picture.width:,} x {picture.height:,} pixels are too many; make it smaller")
            return ImageOps.exif_transpose(picture).copy()
    except UnidentifiedImageError as error:
        raise BadFile(f"{path} is no picture that can be read: save it as PNG or JPEG, or an array as .npy") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadFile(f"{path} can't be read as a picture ({reason(error)}): save it anew as PNG or JPEG") from error


def eight_bit(picture: Image, path: Path) -> Image:
    """Greys of 16 bits as 8: Pillow itself cuts off whatever is above 255. Raises BadFile for numbers that are no greys of 8 or 16 bits."""
    from PIL import Image

    if not picture.mode.startswith(("I", "F")):
        return picture
    greys = np.asarray(picture)
    if picture.mode == "F" or greys.min() < 0 or greys.max() > 65535:
        raise BadFile(f"{path} holds numbers that are no greys of 8 or 16 bits: save it as PNG, or prepared for the model as .npy")
    return Image.fromarray(np.round(greys / 257).astype(np.uint8))


def drawable(features: Features) -> list[str]:
    """Layers whose outputs are maps: (height, width, channels) and more than a point."""
    return [name for name in features.values if (maps := features.maps(name)).ndim == 3 and maps.shape[0] * maps.shape[1] > 1]


def chosen(features: Features, names: Sequence[str]) -> list[str]:
    """The layers to show: those wanted, else up to six convolutions from first to last. Raises BadRequest for a name that no layer has."""
    for name in names:
        if name not in features.values:
            raise BadRequest(f"{features.model.name} has no layer {name}: `etl plan` lists them")
        if features.values[name].ndim > 3:
            raise BadRequest(f"layer {name} makes {features.values[name].ndim} axes, which are no pictures: choose another")
    if names:
        return list(names)
    kinds = {row.name: row.type for row in features.graph.rows}
    maps = drawable(features)
    convolutions = [name for name in maps if "Conv" in kinds.get(name, "")] or maps or [n for n, v in features.values.items() if v.ndim <= 3]
    places = np.unique(np.linspace(0, len(convolutions) - 1, min(6, len(convolutions))).round().astype(int))
    return [convolutions[place] for place in places]


def channels(values: Values, top: int | None) -> list[int]:
    """The channels to show of a layer's maps: the first twelve, or the `top` ones with the largest mean, that first."""
    count = values.shape[-1]
    if top is None:
        return list(range(min(12, count)))
    means = values.reshape(-1, count).mean(axis=0)
    return [int(c) for c in np.argsort(-means, kind="stable")[:top]]


def rows(name: str, values: Values, top: int | None) -> list[dict[str, Any]]:
    """The shown channels of a layer's maps with the mean, least and largest value of each."""
    shown = channels(values, top)
    flat = values.reshape(-1, values.shape[-1])
    maps = ((c, flat[:, c]) for c in shown)
    return [{"layer": name, "channel": c, "mean": float(v.mean()), "min": float(v.min()), "max": float(v.max())} for c, v in maps]


def neuron_values(features: Features, graph: Graph) -> Values:
    """The value of every neuron, (neurons,): as the framework has them, computed edge by edge where it doesn't tell (steps inside layers)."""
    values = np.full(graph.neurons, np.nan)
    rows = {row.name: row for row in graph.rows}
    for step, example in zip(graph.inputs, features.inputs, strict=True):
        row = rows[step.name]
        values[row.begin : row.end] = onehot(np.asarray(example), row).reshape(-1)
    for name, _, ids in layers(graph):
        if name in features.values:
            values[ids[ids >= 0]] = features.values[name].reshape(ids.shape)[ids >= 0]  # ids may carry a batch of one
    return np.where(np.isnan(values), forward(graph, features.inputs)[0], values) if np.isnan(values).any() else values


def write(store: Store, name: str, features: Features, progress: Callable[[str, int, int], None] = lambda *_: None) -> None:
    """Store every activation as the neurons' `value`, in place of an earlier example's.

    Raises NotInStore where another graph is loaded under that name.
    """
    from etl.sinks.neo4j.live import fingerprint
    from etl.store import models as catalogue
    from etl.store import stored_graph as stored

    model = stored.span(store, name)
    loaded = catalogue.find(store, name)
    graphs = (graph_in(features.model, Selection(tuple(map(tuple, features.input_shapes)), fold=fold)) for fold in (False, True))
    graph = next((graph for graph in graphs if loaded and loaded["fingerprint"] == fingerprint(graph)), None)
    if graph is None:
        raise NotInStore(f"{name} in the store is not the whole graph of this file for pictures of this size: load it with the same --input-shape")
    stored.write(store, model, "value", neuron_values(features, graph), progress)
