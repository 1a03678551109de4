"""Every technique on models it was not made on: it goes through and does its work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.distillation import Distillation
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.integer_file import plain_model
from agiwb.compression.techniques.low_rank import LowRank
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.order import TECHNIQUES
from agiwb.compression.techniques.structured_pruning import StructuredPruning
from agiwb.compression.techniques.technique import Technique
from agiwb.compression.techniques.two_four import TwoFour
from tests.compression.techniques.model_families import FAMILIES, model_of
from tests.compression.techniques.trained_digits import bench

pytestmark = pytest.mark.slow

APPLIED: tuple[Technique, ...] = (
    Distillation(percent=50, epochs=1),
    StructuredPruning(percent=50),
    LowRank(percent=40, smallest=100),
    MagnitudePruning(percent=60),
    TwoFour(),
    Cluster(clusters=8),
    QuantizationAware(),
)


def test_none_is_left_out():
    assert [type(technique) for technique in APPLIED] == list(TECHNIQUES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("technique", APPLIED, ids=str)
def test_it_goes_through_and_leaves_the_model_as_it_is(technique: Technique, family: str):
    model, tools = model_of(family), bench(1, examples=320)
    before = [weights.copy() for weights in model.get_weights()]
    made = technique.apply(model, tools)
    answers = np.asarray(made(tools.training.features[:32], training=False))
    assert answers.shape == (32, 10)
    assert np.allclose(answers.sum(axis=1), 1, atol=0.05)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, new)
    _require_effect(technique, model, made)


def _require_effect(technique: Technique, model: Any, made: Any) -> None:
    """Check that the technique did what it is for, whatever the family."""
    from agiwb.compression.pruning import measured_sparsity
    from agiwb.compression.techniques.kernels import kernels_of

    kernels = [kernel.variable.numpy() for kernel in kernels_of(made)]
    if technique.word in {"distil", "shrink", "rank"}:
        assert made.count_params() < model.count_params()
    elif technique.word == "prune":
        assert measured_sparsity(made) == pytest.approx(0.6, abs=0.01)
    elif technique.word == "two_four":
        assert any(np.mean(kernel == 0) > 0.3 for kernel in kernels)
    elif technique.word == "cluster":
        assert all(len(np.unique(kernel)) <= 8 for kernel in kernels)
    else:
        steps = [kernel.variable.numpy() for kernel in kernels_of(plain_model(made))]
        assert any(len(np.unique(kernel)) < kernel.size for kernel in steps)
