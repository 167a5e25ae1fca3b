"""Whose class or function a file names: Keras' own, or somebody else's, whose code is not in the file and can't be guessed from its name.

Files from Keras 2.12 on write a class as module, class name and registered name. Keras' own are exported (`keras.layers`, no registered name) or
internal (`keras.src...`, registered under their own name). A class of a script or notebook has no module, one of a package the package's, and both
a registered name: `mine>Dense`, or plain `Dense` where nobody registered it. Legacy files have the registered name alone, as class name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FRAMEWORKS = ("keras", "tf_keras")
INTERNAL = ("Custom>CustomScaleLayer",)  # what Keras 2 registers of its own in the package of everybody who names none
OWN = "is a class of somebody's own, and its code, which says what it computes, is not in the file"
SCRIPT = "__main__"  # the module that Keras leaves out
# How functions of TensorFlow that people use as activations are called in files. Somebody's own of the same name can't be told from them.
TENSORFLOW = frozenset(
    "abs square exp identity sqrt rsqrt reciprocal negative log sign floor ceil round sin cos erf relu relu6 elu selu leaky_relu gelu "
    "sigmoid log_sigmoid tanh softplus softsign swish softmax softmax_v2 log_softmax log_softmax_v2".split()
)


def is_foreign(entry: Mapping[str, Any]) -> bool:
    """Whether a class is certainly not Keras' own, or not certainly its own."""
    module, registered = entry.get("module"), entry.get("registered_name")
    if module is None:
        return registered is not None
    if entry["class_name"] == "QuantizeAnnotate" and str(module).startswith("tensorflow_model_optimization."):
        return False
    return str(module).partition(".")[0] not in FRAMEWORKS or registered not in (None, entry["class_name"], *INTERNAL)


def full_name(entry: Mapping[str, Any]) -> str:
    """`mine>Dense` as it was registered, else its module and its name; never a name that Keras has as well."""
    registered = str(entry.get("registered_name"))
    return registered if ">" in registered and registered not in INTERNAL else f"{entry.get('module') or SCRIPT}>{entry['class_name']}"


def with_full_names(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """A layer's configuration with activations and dtype policies of somebody else's under their full names, which nothing supports."""
    changed = {name: activation(value) for name, value in options.items() if name.endswith("activation") and isinstance(value, Mapping)}
    policy = options.get("dtype")
    if isinstance(policy, Mapping) and "class_name" in policy and is_foreign(policy):
        changed["dtype_policy"] = full_name(policy)
    return {**options, **changed} if changed else options


def activation(value: Mapping[str, Any]) -> Any:
    """A function or a layer as activation. Keras writes its own functions as plain names, TensorFlow's and anybody else's as objects of one look."""
    config = value.get("config")
    if value.get("class_name") == "function":
        return config if config in TENSORFLOW else f"{config} (a function of somebody's own)"
    if "class_name" in value and is_foreign(value):
        return full_name(value)
    return {**value, "config": with_full_names(config)} if isinstance(config, Mapping) else value
