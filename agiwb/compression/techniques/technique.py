"""What every technique is: a typed description of a change to a Keras model, and the change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from agiwb.compression.fine_tuning import BatchCount, FineTuning, fine_tune, train
from agiwb.compression.techniques.support import Support
from agiwb.config import Config
from agiwb.datasets.dataset import Split

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Bench:
    """What a technique may use.

    Attributes:
        training: The training split; never another.
        tuning: How weights get used to a change.
        progress: Told after each batch how many of all batches are done.
    """

    training: Split
    tuning: FineTuning
    progress: Callable[[int, int], None]

    def train(self, model: keras.Model) -> None:
        """Train ``model`` in place; see ``fine_tuning.train``."""
        count = BatchCount(self.tuning.batches(self.training), self.progress)
        train(model, self.training, self.tuning, count)

    def fine_tuned(self, model: keras.Model) -> keras.Model:
        """Return a fine-tuned copy of ``model``; see ``fine_tuning.fine_tune``."""
        return fine_tune(model, self.training, self.tuning, self.progress)


class Technique(Config):
    """One stage of a recipe that changes a Keras model.

    Its fields are its parameters. What an earlier stage bought is read off the weights: a kernel's
    zeros stay zeros, and a kernel of few distinct values keeps to few.

    Attributes:
        word: What it is called in a recipe: ``cluster`` in ``prune_80+cluster_16``.
        number: The parameter that the number after the word gives; "" if none does.
        ranges: For each parameter worth searching, the values or the bounds to search.
        support: What it does to layers of each class that has weights, by class name.
    """

    word: ClassVar[str]
    number: ClassVar[str] = ""
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]]
    support: ClassVar[dict[str, Support]]

    def __str__(self) -> str:
        return f"{self.word}_{getattr(self, self.number)}" if self.number else self.word

    @abstractmethod
    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a changed copy of ``model``, uncompiled; ``model`` is left as it is.

        Raises:
            WorkError: The model has no layer that the technique changes, or the training diverged.
        """
