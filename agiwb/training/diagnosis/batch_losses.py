"""The loss batch by batch, in a series that stays short however long the training is."""

from __future__ import annotations

import math

from agiwb.training.diagnosis.finding import Curve

_MOST_POINTS = 512


class BatchLosses:
    """Keeps at most 512 points; when they are full, each two neighbours become their mean."""

    def __init__(self) -> None:
        self.first: float | None = None
        """The first batch's loss."""
        self._x: list[float] = []
        self._y: list[float] = []
        self._batches_a_point = 1
        self._waiting: list[float] = []
        self._mean = 0.0

    def add(self, epoch: int, batch: int, batches: int, mean: float) -> None:
        """Note the epoch's mean loss after a batch, which is what Keras tells.

        Args:
            epoch: The first is 0.
            batch: The first is 0.
            batches: Number of batches in an epoch.
            mean: Mean of the losses of this epoch's batches until now. All batches but the last
                are of one size; of the last one, the loss of its own cannot be told.
        """
        former, self._mean = self._mean, mean
        if batch and batch + 1 == batches:
            return
        loss = mean if batch == 0 else (batch + 1) * mean - batch * former
        if self.first is None:
            self.first = loss
        self._waiting.append(loss)
        if len(self._waiting) < self._batches_a_point:
            return
        self._x.append(epoch + (batch + 1) / batches)
        self._y.append(math.fsum(self._waiting) / len(self._waiting))
        self._waiting = []
        if len(self._y) == _MOST_POINTS:
            self._x = self._x[1::2]
            self._y = [(a + b) / 2 for a, b in zip(self._y[::2], self._y[1::2], strict=True)]
            self._batches_a_point *= 2

    def curve(self) -> Curve:
        """Return the losses over the time in epochs."""
        return Curve(name="loss of the batches", x=tuple(self._x), y=tuple(self._y))
