"""What techniques say they do to each kind of layer, and whether they do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.order import TECHNIQUES
from agiwb.compression.techniques.support import WITH_WEIGHTS
from agiwb.compression.techniques.technique import Technique
from agiwb.compression.techniques.two_four import TwoFour
from agiwb.errors import WorkError
from tests.compression.techniques.trained_digits import bench

SEQUENCE, IMAGE, VIDEO, TOKENS = (6, 5), (6, 6, 5), (4, 6, 6, 5), (6,)
MADE: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "Dense": (SEQUENCE, {"units": 8}),
    "EinsumDense": (SEQUENCE, {"equation": "bts,sd->btd", "output_shape": (6, 8)}),
    "Conv1D": (SEQUENCE, {"filters": 8, "kernel_size": 3}),
    "Conv2D": (IMAGE, {"filters": 8, "kernel_size": 3}),
    "Conv3D": (VIDEO, {"filters": 8, "kernel_size": 3}),
    "DepthwiseConv1D": (SEQUENCE, {"kernel_size": 3}),
    "DepthwiseConv2D": (IMAGE, {"kernel_size": 3}),
    "SeparableConv1D": (SEQUENCE, {"filters": 8, "kernel_size": 3}),
    "SeparableConv2D": (IMAGE, {"filters": 8, "kernel_size": 3}),
    "Conv1DTranspose": (SEQUENCE, {"filters": 8, "kernel_size": 3}),
    "Conv2DTranspose": (IMAGE, {"filters": 8, "kernel_size": 3}),
    "Conv3DTranspose": (VIDEO, {"filters": 8, "kernel_size": 3}),
    "SimpleRNN": (SEQUENCE, {"units": 8}),
    "GRU": (SEQUENCE, {"units": 8}),
    "LSTM": (SEQUENCE, {"units": 8}),
    "ConvLSTM1D": (IMAGE, {"filters": 4, "kernel_size": 3}),
    "ConvLSTM2D": (VIDEO, {"filters": 4, "kernel_size": 3}),
    "Embedding": (TOKENS, {"input_dim": 17, "output_dim": 8}),
    "ReversibleEmbedding": (TOKENS, {"input_dim": 17, "output_dim": 8}),
    "BatchNormalization": (SEQUENCE, {}),
    "LayerNormalization": (SEQUENCE, {}),
    "GroupNormalization": (SEQUENCE, {"groups": 1}),
    "RMSNormalization": (SEQUENCE, {}),
    "PReLU": (SEQUENCE, {}),
}


def test_every_technique_says_what_it_does_to_every_layer_with_weights():
    for technique in TECHNIQUES:
        assert set(WITH_WEIGHTS) <= set(technique.support), technique.word
        assert all(each.words for each in technique.support.values()), technique.word
        assert any(each.changes for each in technique.support.values()), technique.word


@pytest.mark.slow
def test_no_layer_of_keras_with_weights_is_forgotten():
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    forgotten = []
    for name in set(dir(keras.layers)) - set(WITH_WEIGHTS):
        kind = getattr(keras.layers, name)
        if not isinstance(kind, type) or kind.__name__ in WITH_WEIGHTS:
            continue
        own = [part for part in kind.__mro__ if part.__module__.startswith("keras.src.layers.")]
        if any("self.add_weight(" in _source(part) for part in own) and name not in OUTSIDE:
            forgotten.append(name)
    assert not forgotten


OUTSIDE = {"Layer", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "STFTSpectrogram"}
"""The base of all layers, and layers whose weights are fixed or another library's."""


def _source(kind: type) -> str:
    import inspect

    return "" if kind.__name__ == "Layer" else inspect.getsource(kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MADE)
def test_a_technique_changes_the_kinds_that_it_says_and_no_others(kind: str):
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    shape, arguments = MADE[kind]
    layer = getattr(keras.layers, kind)(**arguments, name="tried")
    parts = [keras.Input(shape), layer, keras.layers.Flatten()]
    model = keras.Sequential(parts)
    model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
    techniques: list[Technique] = [MagnitudePruning(percent=50), Cluster(clusters=3), TwoFour()]
    for technique in techniques:
        try:
            made = technique.apply(model, bench())
        except WorkError:
            changed = False
        else:
            new = made.get_layer("tried").get_weights()
            pairs = zip(layer.get_weights(), new, strict=True)
            changed = any(not np.array_equal(one, other) for one, other in pairs)
        assert changed == technique.support[kind].changes, technique.word
