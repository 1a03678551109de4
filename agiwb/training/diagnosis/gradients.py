"""Gradients that vanish or explode on their way from the output back to the first layer."""

from __future__ import annotations

import math
import statistics

from agiwb.training.diagnosis.finding import Curve, Evidence, Finding
from agiwb.training.diagnosis.observed import LayerSample, Observed

_LEAST_LAYERS = 4
_VANISHED = 1e-3
_EXPLODED = 1e3
_GROWN = 100.0
_LARGE = 10.0
_HUGE = 1000.0
_RECENT = 5
_NOTHING = 1e-12  # the loss is as good as zero, and so is its gradient


def vanishing_gradients(seen: Observed) -> Finding | None:
    """Return a finding if the first layer's gradient is a thousandth of the last one's, or less.

    From four layers with weights on; the median of the last five samples counts.
    """
    ratio = _first_to_last(seen.samples)
    if ratio is None or ratio > _VANISHED:
        return None
    sample, config = seen.samples[-1], seen.config
    layers = len(sample.gradient_norms)
    first, last = next(iter(sample.gradient_norms)), list(sample.gradient_norms)[-1]
    per_layer = ratio ** (1 / (layers - 1))
    fewer = f", fewer layers (`layers: {max(1, config.layers // 2)}`)" if config.layers else ""
    return Finding(
        rule="vanishing_gradients",
        severity="problem",
        what=f"The gradient of {first}, the first of {layers} layers with weights, is {ratio:.2g} "
        f"of that of {last}, the last: from layer to layer it shrinks to {per_layer:.2g}, and "
        "the first layers hardly learn.",
        evidence=_by_layer(sample),
        advice=f"Try {seen.batch_norm_advice}ReLU instead of sigmoid or tanh in a model of your "
        f"own, `architecture: resnet` for images{fewer}.",
    )


def exploding_gradients(seen: Observed) -> Finding | None:
    """Return a finding if gradients grow towards the first layer, or during the training.

    Either the first layer's gradient is a thousand times the last one's (from four layers with
    weights on; the median of the last five samples), or the norm over all layers has grown a
    hundredfold since the first sample, to more than 10, or is above 1,000. The losses are scaled
    such that a model that knows nothing has about 1; norms are then seldom above 10.
    """
    if not seen.samples:
        return None
    sample, total, first_total = seen.samples[-1], _total(seen.samples[-1]), _total(seen.samples[0])
    ratio = _first_to_last(seen.samples)
    if ratio is not None and ratio > _EXPLODED:
        first = next(iter(sample.gradient_norms))
        what = (
            f"The gradient of {first}, the first of {len(sample.gradient_norms)} layers with "
            f"weights, is {ratio:.2g} times that of the last: it explodes on its way back."
        )
        evidence = _by_layer(sample)
    elif total > _LARGE and total > _GROWN * max(first_total, _NOTHING):
        what = (
            f"The gradient's norm has grown from {first_total:.2g} after epoch "
            f"{seen.samples[0].epoch} to {total:.2g} after epoch {sample.epoch}."
        )
        evidence = _over_time(seen.samples)
    elif total > _HUGE:
        what = (
            f"The gradient's norm is {total:.2g} after epoch {sample.epoch}; of most models it is "
            "less than 10."
        )
        evidence = _by_layer(sample)
    else:
        return None
    clip = seen.config.clip_norm
    return Finding(
        rule="exploding_gradients",
        severity="problem",
        what=what,
        evidence=evidence,
        advice=f"Try `clip_norm: {clip / 10 if clip else 1:g}`, {seen.batch_norm_advice}"
        f"`learning_rate: {seen.rate / 10:g}`, and give features of the size of 1.",
    )


def _first_to_last(samples: tuple[LayerSample, ...]) -> float | None:
    """Return the median ratio of the first to the last layer's norm; None if it says nothing."""
    ratios = []
    for sample in samples[-_RECENT:]:
        norms = list(sample.gradient_norms.values())
        if len(norms) >= _LEAST_LAYERS and norms[-1] > _NOTHING:
            ratios.append(norms[0] / norms[-1])
    return statistics.median(ratios) if ratios else None


def _total(sample: LayerSample) -> float:
    return math.hypot(*sample.gradient_norms.values())


def _over_time(samples: tuple[LayerSample, ...]) -> Evidence:
    epochs = tuple(float(sample.epoch) for sample in samples)
    totals = tuple(map(_total, samples))
    return Evidence(
        x_label="epoch",
        y_label="norm of the gradient",
        curves=(Curve(name="all layers", x=epochs, y=totals),),
        log_scale=True,
    )


def _by_layer(sample: LayerSample) -> Evidence:
    return Evidence(
        x_label="layer, from input to output",
        y_label=f"norm of the gradient after epoch {sample.epoch}",
        bars=sample.gradient_norms,
        log_scale=True,
    )
