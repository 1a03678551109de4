"""Quantization-aware training by the toolkit, in terms of our own wrappers afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.compression.techniques.technique import Bench
from agiwb.compression.tfmot.library import load_tfmot
from agiwb.compression.tfmot.twin import Twin, compile_twin, train_twin, twin_of
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_AS_THEY_ARE = frozenset({"Rescaling", "Normalization"})
"""Layers that the toolkit refuses and that can stay in floats while the others train."""

_PLACES = {"output": "exit", "post_activation": "exit", "pre_activation": "inside"}
"""By what the toolkit calls a range, the place of ours."""


def quantize_with_tfmot(model: keras.Model, bench: Bench) -> keras.Model:
    """Return a copy of ``model`` trained by ``tfmot.quantization.keras.quantize_model``.

    Its weights and the ranges of its activations are the toolkit's; where LiteRT rounds and the
    toolkit learnt no range, the first batches of the training split show it. The layers are
    wrapped as with the engine keras, so that ``integer_file`` makes the file of either. Zeros and
    shared values part: the toolkit knows nothing of them here.

    Raises:
        WorkError: A layer does not carry over to Keras 2, or the toolkit cannot quantize it, or
            the training diverged.
    """
    from agiwb.compression.techniques.fake_quantization import calibrate, quantize_layers

    _, keras2 = load_tfmot()
    keras2.utils.set_random_seed(bench.tuning.seed)
    twin = twin_of(model, bench)
    try:
        trained = _annotated_and_quantized(twin.model)
    except (RuntimeError, ValueError) as error:
        raise WorkError(
            f"The engine tfmot cannot quantize the model {model.name}: "
            f"{' '.join(str(error).split())[:200]}",
            "Use the engine keras.",
        ) from error
    compile_twin(trained, bench)
    train_twin(trained, bench, [])
    by_name = {layer.layer.name: layer for layer in trained.layers if hasattr(layer, "layer")}

    def weights_of(layer: Any, name: str) -> list[Any]:
        # The wrapped layer itself has lost its kernel to the rounded one.
        found = _by_last_name(by_name[name])
        return [found[weight.name] for weight in layer.weights]

    carried = twin.carried_back(weights_of)
    quantized = quantize_layers(carried)
    calibrate(quantized, bench)
    _set_ranges(quantized, twin, by_name, trained)
    return quantized


def _annotated_and_quantized(model: Any) -> Any:
    tfmot, keras2 = load_tfmot()
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_configs as configs,
    )

    quantization = tfmot.quantization.keras

    def annotate(layer: Any) -> Any:
        left = type(layer).__name__ in _AS_THEY_ARE
        config = configs.NoOpQuantizeConfig() if left else None
        return quantization.quantize_annotate_layer(layer, quantize_config=config)

    annotated = keras2.models.clone_model(model, clone_function=annotate)
    with quantization.quantize_scope({"NoOpQuantizeConfig": configs.NoOpQuantizeConfig}):
        return quantization.quantize_apply(annotated)


def _set_ranges(quantized: keras.Model, twin: Twin, by_name: dict[str, Any], trained: Any) -> None:
    """Write the ranges that the toolkit learnt into the wrappers of ``quantized``."""
    from agiwb.compression.techniques.layer_graph import all_layers

    first = next(layer for layer in trained.layers if type(layer).__name__ == "QuantizeLayer")
    outside = _by_last_name(first)
    for old, new in zip(all_layers(twin.original), all_layers(quantized), strict=True):
        if not hasattr(new, "points"):
            continue
        if new.entry is not None:
            _set(new.entry, outside["quantize_layer_min"], outside["quantize_layer_max"])
        ranges = {
            w.name.split("/")[-1].split(":")[0]: w for w in by_name[twin.names[id(old)]].weights
        }
        for theirs, ours in _PLACES.items():
            if f"{theirs}_min" in ranges and getattr(new, ours) is not None:
                place = getattr(new, ours)
                _set(place, ranges[f"{theirs}_min"], ranges[f"{theirs}_max"])


def _by_last_name(layer: Any) -> dict[str, Any]:
    """Return the weights of ``layer`` as arrays, by the last part of their names."""
    return {weight.name.split("/")[-1].split(":")[0]: weight.numpy() for weight in layer.weights}


def _set(place: Any, minimum: Any, maximum: Any) -> None:
    place.minimum.assign(min(float(minimum), 0.0))
    place.maximum.assign(max(float(maximum), 0.0))
