"""The verdicts: what a candidate gains and loses in a sentence, and then why."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agiwb.compression.advisor import Processor
from agiwb.compression.candidate import Candidate
from agiwb.compression.grounds import Circumstances
from agiwb.compression.measurements import Measurements
from agiwb.compression.verdict import describe
from agiwb.statistics import Interval
from tests.compression.made_up import MEASURED

HERE = Circumstances(
    processor=Processor("x86", frozenset({"avx2"})),
    test_examples=360,
    floor=1.031,
    noise_ratio=0.988,
    batch_floor=1.04,
    layers=frozenset({"Conv2D", "Dense"}),
)
TWIN = (
    " The baseline's twin differed from it by 1.2%: a difference in time below 3.1% is not claimed."
)
PACKS_NO_FURTHER = {"packed_bytes": None}


def verdict(name: str = "distil_50", here: Circumstances = HERE, **changes: Any) -> str:
    """Return the verdict on a candidate that differs from the baseline in ``changes``."""
    about = {k: changes.pop(k) for k in ("sparsity", "ties", "findings") if k in changes}
    batches = {"batch_speed": changes.get("speed", "same")}
    measured = MEASURED.model_copy(update={**PACKS_NO_FURTHER, **batches, **changes})
    return describe(Candidate(name=name, measured=measured, **about), MEASURED, here)


def test_a_good_candidate():
    assert verdict(
        "dynamic",
        size_bytes=16_000, gzip_bytes=13_500, worse=4, better=5, latency_ratio=0.62, speed="faster",
    ) == (
        "3.7 times smaller after gzip, no detectable loss of accuracy (4 worse, 5 better), "
        "0.62 of the baseline's time."
    )  # fmt: skip


def test_pruning_promises_neither_a_smaller_file_nor_speed_and_says_why():
    assert verdict("prune_80", sparsity=0.8, gzip_bytes=20_000, latency_ratio=0.99) == (
        "2.5 times smaller after gzip, though the file itself is not, no detectable loss of "
        "accuracy (0 worse, 0 better), no measurable difference in speed. 80% of the weights are "
        "zero, but the file stores every one of them: it is smaller only where it travels or lies "
        "compressed. Zeros save no time: LiteRT's kernels are dense and multiply them all the same."
        + TWIN
    )


def test_losses_are_named():
    sentence = verdict(
        size_bytes=60_000,
        gzip_bytes=50_500,
        test_accuracy=0.931,
        worse=20,
        better=4,
        p_value=0.002,
        latency_ratio=1.38,
        speed="slower",
    )
    assert sentence == (
        "Not smaller, 4.4 points less accurate (20 worse, 4 better), "
        "1.38 times the baseline's time."
    )


def test_growth_is_named():
    assert verdict(size_bytes=90_000, gzip_bytes=75_000).startswith("1.5 times larger after gzip")


def test_a_gain_is_named():
    assert "1.5 points more accurate (1 worse, 9 better)" in verdict(
        test_accuracy=0.99, worse=1, better=9, p_value=0.02
    )


def test_the_baseline_describes_itself():
    assert describe(Candidate(name="baseline", measured=MEASURED), MEASURED, HERE) == (
        "The model as it is: 97.5% of 360 test examples right, 60,000 bytes, 50,000 after gzip."
    )


@pytest.mark.parametrize("measured", [None, MEASURED])
def test_what_is_not_usable_says_why(measured: Measurements | None):
    candidate = Candidate(name="int8", reason="It is made of cheese.", measured=measured)
    assert not candidate.usable
    assert describe(candidate, MEASURED, HERE) == "Not usable: It is made of cheese."


def test_what_a_check_found_is_said_even_of_what_is_not_usable():
    found = {"findings": ("Its kernels saturate.",)}
    assert verdict("onnx_int8", **found).endswith(" Its kernels saturate.")
    candidate = Candidate(name="onnx_int8", reason="It guesses.", measured=MEASURED, **found)
    assert describe(candidate, MEASURED, HERE) == "Not usable: It guesses. Its kernels saturate."


SLOWER = {"speed": "slower", "latency_ratio": 1.4}
FASTER = {"speed": "faster", "latency_ratio": 0.6}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"avx2"}, "this processor has no VNNI"),
        ({"avx2", "avx512_vnni"}, "although the processor has 8-bit instructions"),
        (set(), "is not known"),
    ],
)
def test_why_int8_is_slower_depends_on_the_processor(flags: set[str], words: str):
    here = dataclasses.replace(HERE, processor=Processor("x86", frozenset(flags)))
    sentence = verdict("int8", here, **SLOWER)
    assert "int8 is slower here" in sentence
    assert words in sentence
    assert "int8 is slower" not in verdict("int8", here, **FASTER)
    assert "int8 is slower" not in verdict("float16", here, **SLOWER)


@pytest.mark.parametrize(
    ("name", "speed", "words"),
    [
        ("int16x8", SLOWER, "reference kernels"),
        ("onnx_dynamic", SLOWER, "ConvInteger"),
        ("rank_50", SLOWER, "Each factored layer has become two"),
        ("shrink_50", FASTER, "It has less to compute"),
        ("float16", {}, "16-bit weights save no time: LiteRT"),
        ("onnx_float16", {}, "16-bit weights save no time: ONNX Runtime"),
    ],
)
def test_a_time_that_is_explained(name: str, speed: dict[str, Any], words: str):
    assert words in verdict(name, **speed)
    other = FASTER if speed is SLOWER or not speed else SLOWER
    assert words not in verdict(name, **other)


def test_a_model_without_convolutions_is_not_slow_because_of_them():
    dense = dataclasses.replace(HERE, layers=frozenset({"Dense"}))
    assert "ConvInteger" not in verdict("onnx_dynamic", dense, **SLOWER)


def test_shared_values_do_not_make_the_file_smaller():
    assert "share few values, but the file stores each" in verdict("cluster_16", gzip_bytes=9_000)
    both = {"gzip_bytes": 4_000, "size_bytes": 16_000}
    assert "share few values" not in verdict("cluster_16+int8", **both)


def test_zeros_that_no_stage_made_are_not_spoken_of():
    assert "zero" not in verdict("cluster_16", sparsity=0.5, gzip_bytes=9_000)


def test_the_packed_size_is_said_if_it_is_smaller():
    assert "Packed by agiwb it has 2,000 bytes, 25.0 times fewer" in verdict(
        gzip_bytes=4_000, packed_bytes=2_000
    )
    assert "Packed" not in verdict(gzip_bytes=4_000, packed_bytes=3_900)


def test_batches_are_spoken_of_only_if_they_differ():
    assert "In batches" not in verdict(**FASTER)
    assert "In batches of 32 it is slower: 1.30 times the baseline's time." in verdict(
        **FASTER, batch_speed="slower", batch_latency_ratio=1.3,
        batch_latency_ratio_interval=Interval(1.25, 1.35),
    )  # fmt: skip
    assert (
        "In batches of 32 the difference in speed is not measurable: below 4.0% none is claimed."
    ) in verdict(**FASTER, batch_speed="same")


def test_the_spread_over_seeds_is_said():
    assert "Trained with 3 seeds, 96.9 to 97.4% right." in verdict(
        seed_test_accuracies=(0.974, 0.969, 0.971)
    )
    assert "seed" not in verdict()


def test_ties_are_declared():
    assert verdict(ties=("int8", "prune_80")).endswith(
        "Its accuracy and time cannot be told from those of `int8`, `prune_80`."
    )
