"""Why a candidate is as large and as fast as it is: what is known of its stages and this processor.

Each ground looks at what was measured first, and speaks only if there is something to explain. It
states what is known of runtimes and processors in general; that it is the cause here is likely, and
is said as a reason, not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agiwb.compression.advisor import Processor
from agiwb.compression.candidate import Candidate
from agiwb.compression.measurements import Measurements
from agiwb.compression.recipe import Recipe, parse_recipe
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.distillation import Distillation
from agiwb.compression.techniques.low_rank import LowRank
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.structured_pruning import StructuredPruning
from agiwb.compression.techniques.technique import Technique
from agiwb.compression.techniques.two_four import TwoFour

NOTICEABLE = 1.05
"""A size that differs by less is not worth a claim."""

_MANY_ZEROS = 0.1
_LEAVE_ZEROS = (MagnitudePruning, TwoFour)
_COMPUTE_LESS = (Distillation, StructuredPruning, LowRank)


@dataclass(frozen=True)
class Circumstances:
    """What a sweep was measured under.

    Attributes:
        processor: Where the latencies were measured.
        test_examples: Number of examples the test accuracy was measured on.
        floor: Above 1: how many times slower or faster something must be to be called so.
        noise_ratio: The baseline's time divided by its own in the same run.
        batch_floor: The same as ``floor``, in batches.
        layers: Class names of the model's layers, such as ``Conv2D``.
    """

    processor: Processor
    test_examples: int
    floor: float
    noise_ratio: float
    batch_floor: float
    layers: frozenset[str] = frozenset()

    @property
    def convolves(self) -> bool:
        """Whether the model has convolutions."""
        return any("Conv" in layer for layer in self.layers)


@dataclass(frozen=True)
class Case:
    """A candidate that was measured, beside the baseline."""

    candidate: Candidate
    measured: Measurements
    baseline: Measurements
    circumstances: Circumstances

    @property
    def recipe(self) -> Recipe:
        """The stages it went through."""
        return parse_recipe(self.candidate.name)

    @property
    def runtime(self) -> str:
        """What runs the file, by its name."""
        return "ONNX Runtime" if self.recipe.runtime == "onnx" else "LiteRT"

    @property
    def gzip_gain(self) -> float:
        """How many times smaller than the baseline it is after gzip."""
        return self.baseline.gzip_bytes / self.measured.gzip_bytes

    @property
    def file_gain(self) -> float:
        """How many times smaller the file is as it lies on disk."""
        return self.baseline.size_bytes / self.measured.size_bytes


Ground = Callable[[Case], str]
"""From a case to a sentence, or nothing if it does not apply."""


def grounds_for(case: Case) -> list[str]:
    """Return a sentence for each ground that explains something of ``case``."""
    return [sentence for ground in _GROUNDS if (sentence := ground(case))]


def _pays_only_compressed(case: Case) -> str:
    if case.file_gain >= NOTICEABLE or case.gzip_gain < NOTICEABLE:
        return ""
    if _pruned(case):
        return (
            f"{case.candidate.sparsity:.0%} of the weights are zero, but the file stores every one "
            "of them: it is smaller only where it travels or lies compressed."
        )
    if _has(case, Cluster):
        return (
            "The weights share few values, but the file stores each in full: it is smaller only "
            "where it travels or lies compressed."
        )
    return ""


def _zeros_do_not_save_time(case: Case) -> str:
    if not _pruned(case) or case.measured.speed == "faster" or case.recipe.precision == "int16x8":
        return ""
    return f"Zeros save no time: {case.runtime}'s kernels are dense and multiply them all the same."


def _computes_less(case: Case) -> str:
    if case.measured.speed != "faster" or not _has(case, *_COMPUTE_LESS):
        return ""
    return "It has less to compute: its layers are smaller, not only its numbers."


def _more_layers_than_savings(case: Case) -> str:
    if case.measured.speed != "slower" or not _has(case, LowRank):
        return ""
    return "Each factored layer has become two: calling one more can cost more than it saves."


def _half_floats_are_widened(case: Case) -> str:
    if case.recipe.precision != "float16" or case.measured.speed == "faster":
        return ""
    return f"16-bit weights save no time: {case.runtime} computes in 32-bit floats on processors."


def _integers_do_not_pay(case: Case) -> str:
    if case.recipe.precision != "int8" or case.measured.speed != "slower":
        return ""
    processor = case.circumstances.processor
    if processor.family == "x86" and processor.flags and not processor.adds_in_32_bits:
        return (
            "int8 is slower here: this processor has no VNNI, the instructions that make 8-bit "
            "products cheap, and quantizing between layers costs time as well."
        )
    if processor.adds_in_32_bits:
        return (
            "int8 is slower here although the processor has 8-bit instructions: layers this small "
            "save less than quantizing between them costs."
        )
    return "int8 is slower here; what 8-bit instructions this processor has is not known."


def _reference_kernels(case: Case) -> str:
    if case.recipe.precision != "int16x8" or case.measured.speed != "slower":
        return ""
    return (
        "int16x8 uses LiteRT's reference kernels, written to be right and not fast: it is meant "
        "for chips that have 16-bit kernels."
    )


def _integer_convolutions(case: Case) -> str:
    integers = (case.recipe.runtime, case.recipe.precision) == ("onnx", "dynamic")
    if not integers or case.measured.speed != "slower" or not case.circumstances.convolves:
        return ""
    return "Dynamic quantization makes convolutions ConvInteger, which ONNX Runtime runs slowly."


def _below_the_noise(case: Case) -> str:
    if case.measured.speed != "same":
        return ""
    floor, twin = case.circumstances.floor - 1, abs(case.circumstances.noise_ratio - 1)
    return (
        f"The baseline's twin differed from it by {twin:.1%}: a difference in time below "
        f"{floor:.1%} is not claimed."
    )


def _batches_differ(case: Case) -> str:
    measured = case.measured
    if measured.batch_size == 1 or measured.batch_speed == measured.speed:
        return ""
    if measured.batch_speed == "same":
        floor = case.circumstances.batch_floor - 1
        return (
            f"In batches of {measured.batch_size} the difference in speed is not measurable: below "
            f"{floor:.1%} none is claimed."
        )
    times = "of" if measured.batch_speed == "faster" else "times"
    return (
        f"In batches of {measured.batch_size} it is {measured.batch_speed}: "
        f"{measured.batch_latency_ratio:.2f} {times} the baseline's time."
    )


def _seeds_spread(case: Case) -> str:
    accuracies = case.measured.seed_test_accuracies
    if len(accuracies) < 2:
        return ""
    low, high = min(accuracies), max(accuracies)
    return f"Trained with {len(accuracies)} seeds, {100 * low:.1f} to {high:.1%} right."


def _packs_further(case: Case) -> str:
    measured, whole = case.measured, case.baseline.gzip_bytes
    if measured.packed_bytes is None or measured.packed_bytes * NOTICEABLE > measured.gzip_bytes:
        return ""
    return (
        f"Packed by agiwb it has {measured.packed_bytes:,} bytes, "
        f"{whole / measured.packed_bytes:.1f} times fewer than the baseline after gzip."
    )


def _ties(case: Case) -> str:
    names = [f"`{name}`" for name in case.candidate.ties]
    if not names:
        return ""
    return f"Its accuracy and time cannot be told from those of {', '.join(names)}."


def _pruned(case: Case) -> bool:
    return (case.candidate.sparsity or 0) >= _MANY_ZEROS and _has(case, *_LEAVE_ZEROS)


def _has(case: Case, *kinds: type[Technique]) -> bool:
    """Return whether a stage of one of these kinds is in the recipe."""
    return any(isinstance(stage, kinds) for stage in case.recipe.training)


_GROUNDS: tuple[Ground, ...] = (
    _seeds_spread,
    _pays_only_compressed,
    _packs_further,
    _zeros_do_not_save_time,
    _computes_less,
    _more_layers_than_savings,
    _half_floats_are_widened,
    _integers_do_not_pay,
    _reference_kernels,
    _integer_convolutions,
    _below_the_noise,
    _batches_differ,
    _ties,
)
"""In the order in which they are said: accuracy, size, time, and who else does as well."""
