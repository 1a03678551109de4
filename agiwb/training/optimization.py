"""Optimisers and the learning rate over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from agiwb.training.config import TrainConfig

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE_EPOCHS = 3


def make_optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Return the optimiser of ``config`` with its schedule, for epochs of so many batches."""
    import keras

    classes = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
        "adagrad": keras.optimizers.Adagrad,
        "lion": keras.optimizers.Lion,
    }
    extra: dict[str, Any] = {"momentum": config.momentum} if config.momentum else {}
    if config.weight_decay or config.optimizer == "adamw":
        extra["weight_decay"] = config.weight_decay
    return classes[config.optimizer](
        learning_rate=_learning_rate(config, steps_per_epoch),
        global_clipnorm=config.clip_norm,
        **extra,
    )


def _learning_rate(config: TrainConfig, steps_per_epoch: int) -> Any:
    """Return a constant, or a schedule over the optimiser's steps.

    Warm-up grows linearly from zero. The cosine falls from the full rate to zero at the last step
    (Loshchilov & Hutter 2017, without restarts).
    """
    import keras

    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    decay_steps = max(1, config.epochs * steps_per_epoch - warmup_steps)
    schedules = keras.optimizers.schedules
    if config.schedule == "cosine":
        if not warmup_steps:
            return schedules.CosineDecay(config.learning_rate, decay_steps)
        return schedules.CosineDecay(
            0.0, decay_steps, warmup_target=config.learning_rate, warmup_steps=warmup_steps
        )
    if warmup_steps:
        # A polynomial of degree one that ends where it stays: at the full rate.
        return schedules.PolynomialDecay(0.0, warmup_steps, config.learning_rate)
    return config.learning_rate
