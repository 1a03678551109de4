"""What is to be expected of a sweep's recipes on a processor, before anything is measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agiwb.compression.advisor import Processor, advise, choose_scheme
from agiwb.compression.recipe import Recipe


def expect(processor: Processor, layers: Collection[str], recipes: Sequence[Recipe]) -> str:
    """Return in sentences which int8 scheme suits ``processor``, and what to be warned of.

    Args:
        processor: Where the candidates will run.
        layers: Class names of the model's layers, such as ``Conv2D``.
        recipes: All of a sweep.
    """
    advice = choose_scheme(processor)
    warnings = [
        warning
        for recipe in recipes
        for warning in advise(
            processor,
            layers,
            recipe.runtime,
            recipe.precision,
            per_channel=recipe.conversion is not None and recipe.conversion.per_channel,
        ).warnings
    ]
    scheme = f"For int8 with ONNX Runtime the scheme is {advice.scheme}."
    return " ".join((advice.reason, scheme, *dict.fromkeys(warnings)))
