"""A learning rate that is too high or too low, read off the losses."""

from __future__ import annotations

import statistics

from agiwb.training.diagnosis.finding import Curve, Evidence, Finding, Severity
from agiwb.training.diagnosis.observed import Observed
from agiwb.training.diagnosis.trend import is_falling

_DIVERGED = 2.0  # times the loss of a model that knows nothing
_SMOOTHED = 5
_SPIKE = 4.0  # times the median of the losses before it
_BEFORE_SPIKE = 20
_LEAST_SPIKES = 3
_LEAST_EPOCHS = 4
_RISE = 0.1
_STEADY = 1 / 3
_HARDLY_LEARNED = 0.7  # of the loss of a model that knows nothing
_UNFINISHED_GAIN = 0.1


def learning_rate_too_high(seen: Observed) -> Finding | None:
    """Return a finding if the loss explodes, jumps or goes up and down.

    Exploded: the median of five losses in a row exceeds twice the loss of a model that knows
    nothing, which no sensible step leads to. Jumps: three or more losses after the first epoch are
    four times the median of the twenty before. Up and down: in the second half of the training,
    of six epochs or more, the training loss rises twice by more than a tenth.
    """
    untrained = seen.untrained_loss
    if not untrained:
        return None
    losses = seen.batch_losses
    smooth = [
        statistics.median(losses.y[max(0, end - _SMOOTHED) : end])
        for end in range(_SMOOTHED, len(losses.y) + 1)
    ]
    if smooth and max(smooth) > _DIVERGED * untrained:
        when = losses.x[smooth.index(max(smooth)) + _SMOOTHED - 1]
        return _too_high(
            seen,
            "problem",
            f"The loss grew to {max(smooth):.3g} after {when:.2g} epochs, "
            f"{max(smooth) / untrained:.2g} times that of a model that knows nothing "
            f"({untrained:.3g}): the steps of `learning_rate: {seen.rate:g}` are too long.",
        )
    if jumps := _jumps(losses, untrained):
        return _too_high(
            seen,
            "hint",
            f"The loss jumped {len(jumps)} times, first after {losses.x[jumps[0]]:.2g} epochs, to "
            f"{losses.y[jumps[0]]:.3g}.",
        )
    if rises := _rises(seen.values("train_loss"), untrained):
        epochs = ", ".join(str(seen.curves[index].epoch) for index in rises)
        return _too_high(
            seen,
            "hint",
            f"The training loss goes up and down instead of falling: it rose in the epochs "
            f"{epochs}.",
        )
    return None


def learning_rate_too_low(seen: Observed) -> Finding | None:
    """Return a finding if the loss has hardly fallen and still falls steadily.

    Judged at the end, from four epochs on: the training loss is above 70 % of that of a model that
    knows nothing, falls significantly over the epochs (Kendall's test), and fell in the second
    half by at least a third of what it fell in the first.
    """
    losses, untrained = seen.values("train_loss"), seen.untrained_loss
    if not seen.finished or len(losses) < _LEAST_EPOCHS or not untrained:
        return None
    middle = len(losses) // 2
    steady = losses[middle] - losses[-1] >= _STEADY * (losses[0] - losses[middle]) > 0
    if losses[-1] < _HARDLY_LEARNED * untrained or not steady or not is_falling(losses):
        return None
    return Finding(
        rule="learning_rate_too_low",
        severity="problem",
        what=f"In {len(losses)} epochs the training loss has only come from {losses[0]:.3g} to "
        f"{losses[-1]:.3g}, and it still falls as steadily as at first: the steps of "
        f"`learning_rate: {seen.rate:g}` are too short.",
        evidence=_loss_curves(seen, {"a model that knows nothing": untrained}),
        advice=f"Try `learning_rate: {min(10.0, 10 * seen.rate):g}`, or let `agiwb range_test` "
        "look for it.",
    )


def stopped_too_early(seen: Observed) -> Finding | None:
    """Return a finding if training and validation loss were both still falling at the end.

    Both must fall significantly over the last half of the epochs, and going on as steeply for as
    many epochs again as that half has would lower the validation loss by a tenth.
    """
    train, validation = seen.values("train_loss"), seen.values("validation_loss")
    if not seen.finished or len(train) < _LEAST_EPOCHS or len(validation) != len(train):
        return None
    late = _late(validation)
    slope = (late[len(late) // 2] - late[-1]) / (len(late) - 1 - len(late) // 2)
    gain = slope * len(late) / abs(late[-1]) if late[-1] else 0.0
    if gain < _UNFINISHED_GAIN or not is_falling(late) or not is_falling(_late(train)):
        return None
    if learning_rate_too_low(seen):
        return None
    return Finding(
        rule="stopped_too_early",
        severity="hint",
        what=f"The validation loss was still falling at the end, by {slope:.2g} an epoch, to "
        f"{late[-1]:.3g}: the model had not finished learning.",
        evidence=_loss_curves(seen, {}),
        advice=f"Try `epochs: {2 * seen.config.epochs}` with `early_stopping: 5`, or "
        f"`learning_rate: {min(10.0, 3 * seen.rate):g}`.",
    )


def _too_high(seen: Observed, severity: Severity, what: str) -> Finding:
    untrained = seen.untrained_loss or 0.0
    losses = seen.batch_losses
    return Finding(
        rule="learning_rate_too_high",
        severity=severity,
        what=what,
        evidence=Evidence(
            x_label="epoch",
            y_label=seen.loss_name,
            curves=(losses,) if losses.y else (seen.curve("loss", "train"),),
            levels={"a model that knows nothing": untrained},
            log_scale=all(value > 0 for value in losses.y),
        ),
        advice=f"Try `learning_rate: {seen.rate / 10:g}`"
        + ("" if seen.config.clip_norm else ", `clip_norm: 1`")
        + ("" if seen.config.warmup_epochs else ", or `warmup_epochs: 1`")
        + "; `agiwb range_test` looks for a good rate.",
    )


def _jumps(losses: Curve, untrained: float) -> list[int]:
    """Return the places of losses far above those before, after the first epoch, if three or more.

    What stays below half of the loss of a model that knows nothing harms nobody.
    """
    found = []
    for place in range(_BEFORE_SPIKE, len(losses.y)):
        usual = statistics.median(losses.y[place - _BEFORE_SPIKE : place])
        if losses.x[place] > 1 and losses.y[place] > max(0.5 * untrained, _SPIKE * usual):
            found.append(place)
    return found if len(found) >= _LEAST_SPIKES else []


def _rises(losses: list[float], untrained: float) -> list[int]:
    """Return the epochs of the second half in which the loss rose markedly, if twice or more."""
    if len(losses) < 6:
        return []
    found = [
        index
        for index in range(len(losses) // 2, len(losses))
        if losses[index] - losses[index - 1] > max(_RISE * abs(losses[index - 1]), 0.05 * untrained)
    ]
    return found if len(found) >= 2 else []


def _late(values: list[float]) -> list[float]:
    return values[-max(_LEAST_EPOCHS, len(values) // 2) :]


def _loss_curves(seen: Observed, levels: dict[str, float]) -> Evidence:
    return Evidence(
        x_label="epoch",
        y_label=seen.loss_name,
        curves=(seen.curve("loss", "train"), seen.curve("loss", "validation")),
        levels=levels,
    )
