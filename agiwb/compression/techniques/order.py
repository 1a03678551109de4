"""All techniques, in the order in which a recipe may apply them."""

from __future__ import annotations

from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.distillation import Distillation
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.low_rank import LowRank
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.structured_pruning import StructuredPruning
from agiwb.compression.techniques.technique import Technique
from agiwb.compression.techniques.two_four import TwoFour

TECHNIQUES: tuple[type[Technique], ...] = (
    Distillation,
    StructuredPruning,
    LowRank,
    MagnitudePruning,
    TwoFour,
    Cluster,
    QuantizationAware,
)
"""Those that make new kernels come first, then those that leave zeros, then shared values.

A student, a narrower layer or a factor has none of the zeros and codebooks of what it came from;
each later technique keeps what the earlier ones bought.
"""
