"""The inside of a Keras model: its operations in order, and the tensors between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Call:
    """One operation at its place in the graph; a layer that is called twice has two.

    Attributes:
        operation: A Keras layer or operation.
        inputs: Places of its inputs in ``Graph.tensors``.
        outputs: Places of its outputs.
    """

    operation: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def words(self) -> str:
        """Name and type: ``hidden_1 (Dense)``."""
        return f"{self.operation.name} ({type(self.operation).__name__})"


@dataclass(frozen=True)
class Graph:
    """A functional model as its calls, from the inputs to the outputs."""

    model: keras.Model
    tensors: tuple[Any, ...]
    """Keras' symbolic tensors, inputs of the model first."""
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    """Places of the model's outputs in ``tensors``."""

    @classmethod
    def of(cls, model: keras.Model) -> Graph | None:
        """Return the graph of a functional or sequential model; None for any other."""
        try:
            inputs, outputs = list(model.inputs), list(model.outputs)
        except (AttributeError, TypeError, ValueError):  # a subclass of Model has none
            return None
        if not inputs or not outputs:
            return None
        return _walk(model, inputs, outputs)

    def probe(self, places: list[int]) -> Callable[..., list[Any]]:
        """Return a function that gives the tensors at ``places``, computed by the same layers.

        It takes a list of inputs and ``training``, as a Keras model does.
        """
        import keras

        tensors = [self.tensors[place] for place in places]
        model = keras.Model(list(self.model.inputs), tensors, name="probe")

        def values(inputs: list[Any], *, training: bool) -> list[Any]:
            answer = model(inputs, training=training)
            return list(answer) if isinstance(answer, list | tuple) else [answer]  # if only one

        return values

    def feed(self, inputs: Any) -> list[Any]:
        """Return what a pipeline gives (one tensor, or one a column) in the order of the inputs."""
        if isinstance(inputs, dict):
            return [inputs[tensor.name] for tensor in self.model.inputs]
        return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _walk(model: Any, inputs: list[Any], outputs: list[Any]) -> Graph:
    """Follow each output back to the inputs, without recursion: models may be deep."""
    places = {id(tensor): place for place, tensor in enumerate(inputs)}
    tensors, calls = list(inputs), []
    waiting = list(reversed(outputs))
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in places:
            waiting.pop()
            continue
        history = tensor._keras_history  # noqa: SLF001  Keras' only record of what made a tensor
        node = history.operation._inbound_nodes[history.node_index]  # noqa: SLF001
        missing = [given for given in node.input_tensors if id(given) not in places]
        if missing:
            waiting.extend(reversed(missing))
            continue
        for made in node.outputs:
            places[id(made)] = len(tensors)
            tensors.append(made)
        calls.append(
            Call(
                history.operation,
                tuple(places[id(given)] for given in node.input_tensors),
                tuple(places[id(made)] for made in node.outputs),
            )
        )
    return Graph(model, tuple(tensors), tuple(calls), tuple(places[id(out)] for out in outputs))
