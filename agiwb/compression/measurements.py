"""What was measured on a candidate's file: the numbers a trade-off is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agiwb.compression.latency import Speed
from agiwb.statistics import Interval

SIGNIFICANT = 0.05
"""A McNemar p-value above it is no sign of a difference."""


class Measurements(BaseModel):
    """What was measured on a candidate's file, loaded back; every number is there.

    Accuracies, agreement and p-values are shares, 0 to 1; times are in milliseconds on one thread
    of one core; a ratio is the candidate's divided by the baseline's.
    """

    model_config = ConfigDict(frozen=True)

    validation_accuracy: float
    """Share right of the validation split: the front and the choice go by it, never by the test."""
    validation_interval: Interval
    """Of the validation accuracy, 95 %."""
    validation_p_value: float
    """McNemar's on the validation split, that this candidate and the baseline err alike."""
    test_accuracy: float
    accuracy_interval: Interval
    """Of the test accuracy, 95 %."""
    worse: int
    """Test examples that only the baseline gets right."""
    better: int
    """Test examples that only this candidate gets right."""
    p_value: float
    """McNemar's on the test split."""
    agreement: float
    """Share of the test examples for which it names the same class as the baseline."""
    kl_divergence: float
    """In nats, from the baseline's probabilities to this candidate's, mean over the test split."""
    seed_validation_accuracies: tuple[float, ...]
    """Of the same recipe trained with each seed, this candidate's own first."""
    seed_test_accuracies: tuple[float, ...]
    """The same on the test split."""

    size_bytes: int
    gzip_bytes: int
    """After ``gzip -9``, which is how it would travel."""
    xz_bytes: int
    """After ``xz -9e``."""
    entropy_bytes: int
    """Fewest bytes in which any coder of single weights writes the kernels; see ``sizes``."""
    packed_bytes: int | None
    """In agiwb's packed container; None if the file's numbers are not those of the Keras model."""

    hardware: str = ""
    """Fingerprint of the kind of machine that all times here were measured on."""
    batch_size: int
    """Examples in a batch where ``batch_`` is in a name; elsewhere it is one."""
    latency_ms_p50: float
    latency_ms_p90: float
    latency_ratio: float
    latency_ratio_interval: Interval
    speed: Speed
    """What may be claimed of its latency, the noise of the measurement considered."""
    batch_latency_ratio: float
    batch_latency_ratio_interval: Interval
    batch_speed: Speed
    load_ms: float
    """From the file to the first answer, in a fresh process whose runtime is imported."""
    peak_memory_bytes: int
    """What loading it and answering one example adds to a fresh process that runs nothing."""

    @property
    def accuracy_differs(self) -> bool:
        """Whether its test accuracy can be told from the baseline's."""
        return self.p_value <= SIGNIFICANT

    @property
    def validation_differs(self) -> bool:
        """Whether its validation accuracy can be told from the baseline's."""
        return self.validation_p_value <= SIGNIFICANT
