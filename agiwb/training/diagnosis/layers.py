"""What the layers of a model do on a fixed batch: their gradients, and their dead units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.datasets.dataset import Split
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.diagnosis.graph import Graph
from agiwb.training.diagnosis.observed import LayerSample
from agiwb.training.pipeline import model_inputs, model_targets

if TYPE_CHECKING:
    import keras

_LEAST_UNITS = 4


class LayerProbe:
    """Samples a model's layers without changing it: nothing is trained, no random number drawn.

    It computes eagerly. A traced function would be faster each time, but tracing costs more than
    the few samples that a training takes.
    """

    def __init__(self, model: keras.Model, examples: Split) -> None:
        tf = import_tensorflow()
        self._model = model
        self._inputs = tf.nest.map_structure(tf.convert_to_tensor, model_inputs(examples.features))
        self._targets = tf.convert_to_tensor(model_targets(examples.labels))
        self._examples = len(examples)
        self._weighted = {layer.name: layer for layer in _weighted_layers(model)}
        self._graph = Graph.of(model)
        self._rectified = _rectified(self._graph) if self._graph else {}
        self._probe = None
        if self._graph and len(self._graph.outputs) == 1:
            places = [*self._rectified.values(), *self._graph.outputs]
            self._probe = self._graph.probe(places)

    def sample(self, epoch: int) -> LayerSample:
        """Return what the layers do now.

        A model whose inside is not known, a subclass of Keras' Model, has gradients only.
        """
        tf = import_tensorflow()
        variables = {
            name: [weight.value for weight in layer.trainable_weights]
            for name, layer in self._weighted.items()
        }
        seeds = _seeds(self._model)
        before = [seed.numpy() for seed in seeds]
        with tf.GradientTape() as tape:
            if self._probe is None or self._graph is None:
                *inner, outputs = [self._model(self._inputs, training=False)]
            else:
                *inner, outputs = self._probe(self._graph.feed(self._inputs), training=False)
            loss = self._model.compute_loss(
                x=self._inputs, y=self._targets, y_pred=outputs, training=False
            )
        gradients = tape.gradient(loss, variables)
        for seed, value in zip(seeds, before, strict=True):
            seed.assign(value)
        norms = {name: _norm(of_layer) for name, of_layer in gradients.items()}
        return LayerSample(
            epoch=epoch,
            gradient_norms={name: norm for name, norm in norms.items() if np.isfinite(norm)},
            dead_shares={
                name: _dead_share(np.asarray(values))
                for name, values in zip(self._rectified, inner, strict=True)
            },
            examples=self._examples,
        )


def _weighted_layers(model: Any) -> list[Any]:
    """Return the trainable layers with a kernel or the like, nested models' included, in order."""
    found = []
    for layer in model.layers:
        if getattr(layer, "layers", None):
            found += _weighted_layers(layer)
        elif any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            found.append(layer)
    return found


def _rectified(graph: Graph) -> dict[str, int]:
    """Return the places of the tensors that come out of a ReLU, by the layer's name."""
    import keras

    found = {}
    for call in graph.calls:
        operation = call.operation
        is_relu = (
            getattr(operation, "activation", None) is keras.activations.relu
            or (isinstance(operation, keras.layers.ReLU) and not operation.negative_slope)
            or type(operation).__name__ == "Relu"
        )
        tensor = graph.tensors[call.outputs[0]]
        if is_relu and len(tensor.shape) > 1 and (tensor.shape[-1] or 0) >= _LEAST_UNITS:
            found[operation.name] = call.outputs[0]
    return found


def _dead_share(values: Any) -> float:
    """Return the share of units, along the last axis, that are zero everywhere else."""
    return float((values.reshape(-1, values.shape[-1]) == 0).all(axis=0).mean())


def _norm(gradients: list[Any]) -> float:
    tf = import_tensorflow()
    present = [gradient for gradient in gradients if gradient is not None]
    return (
        float(
            tf.linalg.global_norm(
                [
                    tf.cast(each, "float32") if not isinstance(each, tf.IndexedSlices) else each
                    for each in present
                ]
            )
        )
        if present
        else 0.0
    )


def _seeds(model: Any) -> list[Any]:
    """Return the states of the model's random number generators."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]
