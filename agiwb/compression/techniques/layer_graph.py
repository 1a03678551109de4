"""A Keras model's graph of layers, nested models taken apart, copied call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Call = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Given a layer or operation of the model, and the arguments of a call of it in terms of the copy's
tensors, returns the copy's output tensors."""


def copy_calls(model: keras.Model, call: Call) -> keras.Model:
    """Return the functional model that results if ``call`` answers each call within ``model``.

    Inputs keep their names, shapes and dtypes. Nested functional and sequential models are entered
    and do not show up in the copy.
    """
    import keras

    # A sequential model that was never called has no `input`.
    taken = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), taken
    )
    return keras.Model(inputs, run_calls(model, inputs, call), name=model.name)


class Copies:
    """Copies of a model's layers, one for each however often it is called, weights set later."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, str], Any] = {}
        self._names: set[str] = set()

    def of(self, layer: Any, part: str = "", /, **changes: Any) -> Any:
        """Return the copy of ``layer``, made with ``changes`` to its config if there is none yet.

        Args:
            layer: A layer or an operation.
            part: Tells apart several copies that stand for one layer; becomes part of the name.
            changes: Fields of the config.
        """
        key = (id(layer), part)
        if key not in self._copies:
            name = self._free(f"{layer.name}_{part}" if part else layer.name)
            config = {**layer.get_config(), **changes, "name": name}
            self._copies[key] = type(layer).from_config(config)
        return self._copies[key]

    def _free(self, name: str) -> str:
        """Return ``name``, with a number if a layer of another nested model has it."""
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free


def all_layers(model: keras.Model) -> list[Any]:
    """Return the layers of ``model`` in order, those of nested models in their place, each once."""
    found: dict[int, Any] = {}
    for layer in model.layers:
        for inner in all_layers(layer) if _is_nested(layer) else [layer]:
            found[id(inner)] = inner
    return list(found.values())


def run_calls(model: keras.Model, inputs: Any, call: Call) -> Any:
    """Return what ``model`` gives for ``inputs`` if ``call`` answers each call within it."""
    import keras

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            inputs = _answer(layer, (inputs,), {}, call)
        return inputs
    # Keras' own cloning walks the graph by this method, and offers no public way to enter nested
    # models while it does.
    return model._run_through_graph(  # noqa: SLF001
        inputs, call_fn=lambda layer, *args, **kwargs: _answer(layer, args, kwargs, call)
    )


def _answer(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call) -> Any:
    return run_calls(layer, args[0], call) if _is_nested(layer) else call(layer, args, kwargs)


def _is_nested(layer: Any) -> bool:
    import keras

    if isinstance(layer, keras.Sequential):
        return True
    return isinstance(layer, keras.Model) and hasattr(layer, "_run_through_graph")
