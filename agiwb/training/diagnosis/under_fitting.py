"""Under-fitting: the model does not even learn its training examples."""

from __future__ import annotations

from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.diagnosis.learning_rate import learning_rate_too_low
from agiwb.training.diagnosis.observed import Observed

_POOR_SKILL = 0.5
_FLAT = 0.03
_LEAST_EPOCHS = 4


def under_fitting(seen: Observed) -> Finding | None:
    """Return a finding if the training score is poor and has stopped getting better.

    Poor is less than half of the way from the best constant answer to a perfect one, both by the
    main metric and by the loss. Flat is a loss that fell by less than 3 % of the baseline's over
    the second half of the training, of at least four epochs. Where the learning rate is too low,
    nothing can be said.
    """
    losses = seen.values("train_loss")
    scores = seen.values(f"train_{seen.baseline.metric}")
    if not seen.finished or len(losses) < _LEAST_EPOCHS or not scores:
        return None
    skills = [seen.baseline.skill(scores[-1])]
    if seen.baseline.loss:
        skills.append(1 - losses[-1] / seen.baseline.loss)
    fall = losses[len(losses) // 2] - losses[-1]
    scale = seen.baseline.loss or losses[0]
    if max(skills) >= _POOR_SKILL or fall > _FLAT * scale or learning_rate_too_low(seen):
        return None
    config, metric = seen.config, seen.baseline.metric
    layers = f"`layers: {config.layers + 1 if config.layers else 3}`"
    ease = f" or less regularisation (`dropout: {config.dropout / 2:g}`)" if config.dropout else ""
    return Finding(
        rule="under_fitting",
        severity="hint",
        what=f"Even on its training examples the model reaches only "
        f"{seen.baseline.words(scores[-1])}, where the best constant answer has "
        f"{seen.baseline.words(seen.baseline.score)}, and its loss has stood still since epoch "
        f"{seen.curves[len(losses) // 2].epoch}.",
        evidence=Evidence(
            x_label="epoch",
            y_label=metric if metric == "rmse" else f"{metric} (share)",
            curves=(seen.curve(metric, "train"), seen.curve(metric, "validation")),
            levels={"best constant answer": seen.baseline.score},
        ),
        advice=f"Try a larger model (`units: {2 * config.units}`, {layers}){ease}, or another "
        f"`learning_rate` ({3 * config.learning_rate:.2g} or {config.learning_rate / 3:.2g}). If "
        "nothing helps, the features may not tell more.",
    )
