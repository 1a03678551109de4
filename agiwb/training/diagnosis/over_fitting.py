"""Over-fitting: what is learned of the training examples does not hold for others."""

from __future__ import annotations

import math

import numpy as np

from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.diagnosis.observed import Observed
from agiwb.training.diagnosis.trend import is_rising

_LEAST_RISE = 0.1
_GRAVE_RISE = 0.25
_LEAST_SHARE_OF_BASELINE = 0.02  # a rise from almost nothing to almost nothing is none
_LEAST_GAP = 0.05
_GRAVE_GAP = 0.15
_DEVIATIONS = 3.0


def over_fitting(seen: Observed) -> Finding | None:
    """Return a finding if validation gets worse while training gets better, or lags far behind.

    The rise of the validation loss must be significant by Kendall's test over the epochs after the
    best one, of which at least four are needed, and be a tenth of the best loss. The gap between
    the splits' scores must be three standard errors wide.
    """
    return _rising(seen) or (_lagging(seen) if seen.finished else None)


def _rising(seen: Observed) -> Finding | None:
    train, validation = seen.values("train_loss"), seen.values("validation_loss")
    if len(validation) != len(train) or len(train) < 5 or not np.isfinite(validation).all():
        return None
    best = min(range(len(validation)), key=validation.__getitem__)
    after = validation[best + 1 :]
    rise = validation[-1] - validation[best]
    least = max(
        _LEAST_RISE * abs(validation[best]), _LEAST_SHARE_OF_BASELINE * (seen.baseline.loss or 0)
    )
    if not is_rising(after) or rise < least or train[-1] >= train[best]:
        return None
    kept_best = seen.config.early_stopping is not None
    grave = rise > max(_GRAVE_RISE * validation[best], 0.1 * (seen.baseline.loss or 0))
    last, first = seen.curves[-1].epoch, seen.curves[best].epoch
    epochs = f"`epochs: {first}`, or `early_stopping: 3`, which keeps the best weights"
    return Finding(
        rule="over_fitting",
        severity="problem" if grave and not kept_best else "hint",
        what=f"Since epoch {first} the validation loss has risen from {validation[best]:.3g} to "
        f"{validation[-1]:.3g} in epoch {last}, while the training loss fell from "
        f"{train[best]:.3g} to {train[-1]:.3g}: the model learns its training examples by heart."
        + (" Early stopping keeps the best weights." if kept_best else ""),
        evidence=Evidence(
            x_label="epoch",
            y_label=seen.loss_name,
            curves=(seen.curve("loss", "train"), seen.curve("loss", "validation")),
            levels={f"best validation loss, epoch {first}": validation[best]},
            log_scale=min(*train, *validation) > 0,
        ),
        advice=f"Try {_remedies(seen)}." if kept_best else f"Try {epochs}; or {_remedies(seen)}.",
    )


def _lagging(seen: Observed) -> Finding | None:
    metric, kept = seen.baseline.metric, seen.kept
    train = kept.metrics.get(f"train_{metric}")
    validation = kept.metrics.get(f"validation_{metric}")
    if train is None or validation is None:
        return None
    if metric == "rmse":
        gap, error = _rmse_gap(seen, train, validation)
        words = f"an error {validation / train - 1:.0%} larger" if train else "a larger error"
    elif metric == "accuracy":
        gap = train - validation
        error = math.sqrt(
            train * (1 - train) / seen.train_examples
            + max(validation * (1 - validation), 1 / seen.validation_examples)
            / seen.validation_examples
        )
        words = f"{100 * gap:.1f} points less"
    else:
        return None
    if gap < _LEAST_GAP or gap < _DEVIATIONS * error:
        return None
    seen_words = seen.baseline.words
    return Finding(
        rule="over_fitting",
        severity="problem" if gap > _GRAVE_GAP else "hint",
        what=f"On validation examples the model has {words} than on those it was trained on: "
        f"{seen_words(validation)} against {seen_words(train)}; chance explains "
        f"{_DEVIATIONS * error:.2g} at most, and the difference is {gap:.2g}.",
        evidence=Evidence(
            x_label="epoch",
            y_label=metric if metric == "rmse" else f"{metric} (share)",
            curves=(seen.curve(metric, "train"), seen.curve(metric, "validation")),
            levels={"best constant answer": seen.baseline.score},
        ),
        advice=f"Try {_remedies(seen)}. More training examples help most.",
    )


def _rmse_gap(seen: Observed, train: float, validation: float) -> tuple[float, float]:
    """Return the difference of the logarithms of the RMSE and a generous standard error of it.

    The logarithm of a mean of n squared normal errors has the variance 2/n; half that for its
    root. Heavy tails triple it.
    """
    if train <= 0 or validation <= 0:
        return 0.0, 1.0
    variance = 0.5 * (1 / seen.train_examples + 1 / seen.validation_examples)
    return math.log(validation / train), math.sqrt(3 * variance)


def _remedies(seen: Observed) -> str:
    config = seen.config
    tried = [f"`dropout: {min(0.6, round(config.dropout + 0.2, 2)):g}`"]
    tried.append(f"`l2: {max(1e-4, 10 * config.l2):g}`")
    if config.units > 8:
        tried.append(f"a smaller model (`units: {config.units // 2}`)")
    return ", ".join(tried)
