"""A Keras 3 model's twin in Keras 2, which the toolkit works on, and the way back.

The twin is built layer by layer from the configs and given the weights. It is trusted only once it
has answered as the model does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.keras_model import rebuild
from agiwb.compression.techniques.layer_graph import all_layers, run_calls
from agiwb.compression.techniques.technique import Bench
from agiwb.compression.tfmot.library import load_tfmot
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_COMPARED = 64
_TOLERANCE = 1e-3
"""Of a probability: two implementations of a layer round differently."""

_WITHOUT_EFFECT = frozenset(
    {"dtype", "batch_shape", "seed", "use_cudnn", "quantization_config", "build_config", "name"}
)
"""Fields that decide nothing once the weights are set."""

_RENAMED = {("LeakyReLU", "negative_slope"): "alpha"}

_WRAPPED = frozenset({"layer", "backward_layer"})
"""Fields that hold the config of another layer."""


@dataclass(frozen=True)
class Twin:
    """A model of Keras 3 and the same in Keras 2.

    Attributes:
        original: The model.
        model: The twin, without nested models.
        names: By ``id`` of a layer of the original, the name of the twin's.
    """

    original: keras.Model
    model: Any
    names: Mapping[int, str]

    def carried_back(self, weights_of: Callable[[Any, str], list[Any]]) -> keras.Model:
        """Return a copy of the original with other weights.

        Args:
            weights_of: Gives the arrays for a layer of the original, whose twin has the name given.
        """
        copy = rebuild(self.original)
        for old, new in zip(all_layers(self.original), all_layers(copy), strict=True):
            if id(old) in self.names and old.weights:
                new.set_weights(weights_of(old, self.names[id(old)]))
        return copy

    def carried_back_from(self, trained: Any) -> keras.Model:
        """Return a copy of the original with the weights of ``trained``, a model like the twin."""
        return self.carried_back(lambda _, name: trained.get_layer(name).get_weights())


def twin_of(model: keras.Model, bench: Bench) -> Twin:
    """Return ``model`` with its twin, which answers as it does on examples of ``bench``.

    Raises:
        WorkError: A layer does not carry over, or the twin answers otherwise.
    """
    _, keras2 = load_tfmot()
    made: dict[int, Any] = {}
    taken: set[str] = set()

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(layer) not in made:
            name, number = layer.name, 1
            while name in taken:
                number += 1
                name = f"{layer.name}_{number}"
            taken.add(name)
            made[id(layer)] = _layer(keras2, layer, name)
        given = {key: value for key, value in kwargs.items() if value is not None}
        return made[id(layer)](*args, **given)

    if len(model.inputs) != 1:
        raise WorkError(
            f"The model {model.name} has {len(model.inputs)} inputs; the engine tfmot takes one.",
            "Use the engine keras.",
        )
    taken.update(layer.name for layer in model.layers if type(layer).__name__ == "InputLayer")
    (shape,) = (x.shape for x in model.inputs)
    inputs = keras2.Input(batch_shape=shape, dtype=model.inputs[0].dtype, name="features_of_twin")
    twin = keras2.Model(inputs, run_calls(model, inputs, call), name=model.name)
    for layer in all_layers(model):
        if id(layer) in made and layer.weights:
            _set_weights(made[id(layer)], layer)
    names = {key: layer.name for key, layer in made.items()}
    examples = bench.training.sample(_COMPARED).features
    expected = np.asarray(model(examples, training=False))
    answers = np.asarray(twin(examples, training=False))
    if not np.allclose(answers, expected, atol=_TOLERANCE):
        raise WorkError(
            f"The model {model.name} answers otherwise in Keras 2, by up to "
            f"{np.abs(answers - expected).max():.2g}.",
            "Use the engine keras.",
        )
    return Twin(model, twin, names)


def compile_twin(model: Any, bench: Bench) -> None:
    """Prepare a model of Keras 2 for the same training that ``fine_tuning.train`` gives."""
    _, keras2 = load_tfmot()
    model.compile(
        optimizer=keras2.optimizers.Adam(bench.tuning.learning_rate),
        loss="sparse_categorical_crossentropy",
    )


def train_twin(model: Any, bench: Bench, callbacks: list[Any]) -> None:
    """Train ``model``, compiled by ``compile_twin``, as ``bench`` says.

    Raises:
        WorkError: A weight became NaN or infinite.
    """
    from agiwb.compression.fine_tuning import BatchCount, require_finite

    _, keras2 = load_tfmot()
    tuning, examples = bench.tuning, bench.training
    if not tuning.epochs:
        return
    count = BatchCount(tuning.batches(examples), bench.progress)
    model.fit(
        examples.features,
        examples.labels,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        callbacks=[
            keras2.callbacks.LambdaCallback(on_train_batch_end=count.after_batch),
            keras2.callbacks.TerminateOnNaN(),
            *callbacks,
        ],
        verbose=0,
    )
    require_finite(model, tuning.learning_rate)


def wrapped(twin: Twin, wrap: Callable[[Any], Any], words: str) -> Any:
    """Return a copy of the twin's graph with ``wrap`` around the layers that have a kernel.

    Raises:
        WorkError: The toolkit refuses a layer, or there is none to wrap.
    """
    from agiwb.compression.techniques.kernels import KERNELS

    _, keras2 = load_tfmot()
    found = 0

    def clone(layer: Any) -> Any:
        nonlocal found
        cells = getattr(layer, "cell", None)
        kind = type(cells if cells is not None else layer).__name__
        matrices = any(len(weight.shape) > 1 for weight in layer.weights)
        if not matrices or kind.startswith("Depthwise") or kind.endswith("Normalization"):
            return layer
        try:
            made = wrap(layer)
        except ValueError as error:
            raise WorkError(
                f"The engine tfmot cannot {words} the layer {layer.name} "
                f"({type(layer).__name__}): {str(error).split('. ')[0]}.",
                "Use the engine keras.",
            ) from error
        found += kind in KERNELS
        return made

    model = keras2.models.clone_model(twin.model, clone_function=clone)
    if not found:
        raise WorkError(
            f"The model {twin.original.name} has no layer with a kernel to {words}.",
            "Dense, convolution, recurrent and embedding layers have one.",
        )
    return model


def _layer(keras2: Any, layer: Any, name: str) -> Any:
    """Return the layer of Keras 2 with the config of ``layer``, called ``name``."""
    import keras

    kind = type(layer).__name__
    twin_class = getattr(keras2.layers, kind, None)
    if not isinstance(layer, keras.layers.Layer) or twin_class is None:
        raise WorkError(
            f"The layer {layer.name} ({kind}) does not carry over to Keras 2, which the engine "
            "tfmot works on.",
            "Use the engine keras.",
        )
    return _made(keras2, type(layer), twin_class, layer.get_config(), name)


def _made(keras2: Any, own: Any, twin_class: Any, config: dict[str, Any], name: str) -> Any:
    """Return ``twin_class`` made with ``config``, which is one of the Keras 3 class ``own``."""
    accepted = set(inspect.signature(twin_class.__init__).parameters) | {"trainable"}
    defaults = {key: p.default for key, p in inspect.signature(own.__init__).parameters.items()}
    fields = {}
    for key, value in config.items():
        known = _RENAMED.get((own.__name__, key), key)
        if key in _WITHOUT_EFFECT or key.endswith("_initializer"):
            continue
        if key in _WRAPPED and isinstance(value, dict):
            fields[key] = _wrapped_layer(keras2, value)
        elif known in accepted:
            fields[known] = _plain(value)
        elif value != defaults.get(key, value):
            raise WorkError(
                f"The layer {name} ({own.__name__}) has `{key}` {value!r}, which Keras 2 does not "
                "know.",
                "Use the engine keras.",
            )
    return twin_class(**fields, name=name)


def _wrapped_layer(keras2: Any, written: dict[str, Any]) -> Any:
    import keras

    kind, config = written["class_name"], written["config"]
    twin_class = getattr(keras2.layers, kind, None)
    if twin_class is None:
        raise WorkError(
            f"The layer {config['name']} ({kind}) does not carry over to Keras 2.",
            "Use the engine keras.",
        )
    return _made(keras2, getattr(keras.layers, kind), twin_class, config, config["name"])


def _plain(value: Any) -> Any:
    """Return a field as Keras 2 reads it: of an object its class and config, not its module."""
    if isinstance(value, dict) and "class_name" in value:
        return {"class_name": value["class_name"], "config": value["config"]}
    return value


def _set_weights(twin: Any, layer: Any) -> None:
    try:
        twin.set_weights(layer.get_weights())
    except ValueError as error:
        raise WorkError(
            f"The weights of the layer {layer.name} ({type(layer).__name__}) do not fit Keras 2.",
            "Use the engine keras.",
        ) from error
