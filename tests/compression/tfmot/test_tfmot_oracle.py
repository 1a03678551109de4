"""TensorFlow's own toolkit as the judge of our pruning, schedule, clustering and training."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest

from agiwb.compression.pruning import magnitude_mask, polynomial_sparsity
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.integer_file import convert_trained
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.errors import WorkError
from tests.compression.techniques.trained_digits import accuracy, bench, kernels, trained

# Not by importing it, which would turn `tf.keras` into Keras 2 before the loader can prevent that.
INSTALLED = importlib.util.find_spec("tensorflow_model_optimization") is not None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not INSTALLED, reason="needs agiwb[tfmot]")]


@pytest.fixture(scope="module")
def toolkit() -> Any:
    from agiwb.compression.tfmot.library import load_tfmot

    return load_tfmot()[0]


def test_loading_the_toolkit_leaves_keras_3_in_place(toolkit: Any):
    import tensorflow as tf

    assert toolkit is not None
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert tf.keras.Model.__module__.startswith("keras.src")


@pytest.mark.parametrize("family", ["cnn", "mlp"])
@pytest.mark.parametrize("percent", [25, 50, 75])
def test_our_masks_are_the_toolkits(family: str, percent: int, toolkit: Any):
    model = trained(family)
    ours = MagnitudePruning(percent=percent).apply(model, bench())
    theirs = MagnitudePruning(percent=percent, engine="tfmot").apply(model, bench())
    for weights, one, other in zip(kernels(model), kernels(ours), kernels(theirs), strict=True):
        assert np.array_equal(one, weights * magnitude_mask(weights, percent / 100))
        # The toolkit rounds what stays, we round down what goes: at most one weight apart.
        kept = round(weights.size * (1 - percent / 100))
        assert np.sum(other != 0) == kept
        assert np.sum((one == 0) != (other == 0)) == abs(np.sum(one != 0) - kept) <= 1


@pytest.mark.parametrize("final", [0.5, 0.8, 0.95])
def test_our_schedule_is_the_toolkits_at_each_step(final: float, toolkit: Any):
    ramp = 60
    theirs = toolkit.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0, final_sparsity=final, begin_step=0, end_step=ramp, frequency=1
    )
    for step in range(ramp + 1):
        due, sparsity = theirs(step)
        assert bool(due)
        assert polynomial_sparsity(step, ramp, final) == pytest.approx(float(sparsity), abs=1e-6)


def test_a_trained_pruning_has_the_zeros_asked_for_and_about_our_accuracy(toolkit: Any):
    model = trained("mlp")
    ours = MagnitudePruning(percent=60).apply(model, bench(2))
    theirs = MagnitudePruning(percent=60, engine="tfmot").apply(model, bench(2))
    for kernel in kernels(theirs):
        assert np.sum(kernel != 0) == round(kernel.size * 0.4)
    assert abs(accuracy(ours) - accuracy(theirs)) < 0.05


def test_clusters_are_as_accurate_as_the_toolkits(toolkit: Any):
    model = trained("mlp")
    ours = Cluster(clusters=16).apply(model, bench(2))
    theirs = Cluster(clusters=16, engine="tfmot").apply(model, bench(2))
    assert all(len(np.unique(kernel)) <= 16 for kernel in kernels(theirs))
    assert accuracy(ours) > accuracy(theirs) - 0.03


def test_clustering_by_the_toolkit_keeps_zeros(toolkit: Any):
    pruned = MagnitudePruning(percent=50, engine="tfmot").apply(trained("mlp"), bench())
    clustered = Cluster(clusters=16, engine="tfmot").apply(pruned, bench(1))
    for before, after in zip(kernels(pruned), kernels(clustered), strict=True):
        assert np.all(after[before == 0] == 0)
        assert len(np.unique(after)) <= 17


def test_ranges_that_the_toolkit_trained_reach_the_integer_file(toolkit: Any):
    from ai_edge_litert.interpreter import Interpreter

    model = trained("mlp")
    quantized = QuantizationAware(engine="tfmot").apply(model, bench(2))
    content = convert_trained(quantized)
    assert accuracy(quantized) > accuracy(model) - 0.03
    details = Interpreter(model_content=content).get_tensor_details()
    assert any(detail["dtype"] == np.int8 for detail in details)


def test_what_the_toolkit_cannot_do_is_said(toolkit: Any):
    import keras

    layers = keras.layers
    with pytest.raises(WorkError, match="only by magnitude"):
        MagnitudePruning(scope="global", engine="tfmot").apply(trained("mlp"), bench())
    with pytest.raises(WorkError, match="by channel"):
        Cluster(per_channel=True, engine="tfmot").apply(trained("mlp"), bench())
    half = MagnitudePruning(percent=50).apply(trained("mlp"), bench())
    with pytest.raises(WorkError, match="more zeros already"):
        MagnitudePruning(percent=20, engine="tfmot").apply(half, bench())
    inputs = keras.Input((8, 8))
    normed = layers.RMSNormalization(name="scale")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(10, "softmax")(normed))
    with pytest.raises(WorkError, match=r"scale \(RMSNormalization\) does not carry over"):
        MagnitudePruning(engine="tfmot").apply(model, bench())
    summed = keras.Model(inputs, layers.Dense(10, "softmax")(layers.Flatten()(inputs + 1.0)))
    with pytest.raises(WorkError, match="does not carry over"):
        Cluster(engine="tfmot").apply(summed, bench())


@pytest.mark.parametrize("family", ["residual", "lstm", "tokens"])
def test_twins_of_other_families_answer_alike(family: str, toolkit: Any):
    from agiwb.compression.tfmot.twin import twin_of
    from tests.compression.techniques.model_families import model_of

    model, examples = model_of(family), bench()
    twin = twin_of(model, examples)
    features = examples.training.features[:32]
    assert np.allclose(twin.model(features), model(features), atol=1e-4)
    back = twin.carried_back_from(twin.model)
    for one, other in zip(model.get_weights(), back.get_weights(), strict=True):
        assert np.array_equal(one, other)
