"""Triggers propose and the policy decides; what is broken is told from what has drifted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Kind, Split
from agiwb.datasets.formats import load_source
from agiwb.datasets.perturb import rotate
from agiwb.datasets.registry import load_dataset
from agiwb.datasets.source import say_nothing
from agiwb.errors import ConfigError, DatasetError
from agiwb.maintenance.faulty import read_periods, sound_rows
from agiwb.maintenance.mixing import mix, split_of_rows, write_mixed
from agiwb.maintenance.policy import PolicyTerms, Seen, choose, propose
from agiwb.maintenance.served_rows import told_slices
from agiwb.monitoring.described import Description, describe
from agiwb.statistics import Interval

TERMS = PolicyTerms(
    cooldown_h=24, min_labels=100, max_drop=0.05, alpha=0.05,
    retrain_after_labels=None, retrain_after_h=None,
)  # fmt: skip
FINE = Seen(
    rows=1000, reference_accuracy=0.95, accuracy=0.94, p_value=0.4, expected=Interval(0.92, 0.96),
    drifted=0, faults=(), new_labels=500, champion_age_s=3600, since_decision_s=None,
)  # fmt: skip
FELL = replace(FINE, accuracy=0.7, p_value=1e-6)


def decided(seen: Seen, terms: PolicyTerms = TERMS) -> str:
    return choose(propose(seen, terms), seen, terms).action


def test_nothing_is_done_without_a_reason() -> None:
    assert decided(FINE) == "nothing"
    assert decided(replace(FINE, accuracy=0.92, p_value=0.01)) == "nothing"  # within max_drop
    assert decided(replace(FINE, accuracy=0.7, p_value=0.2)) == "nothing"  # may be chance


def test_a_loss_that_labels_show_is_a_reason() -> None:
    assert decided(FELL) == "retrain"
    (proposal,) = propose(FELL, TERMS)
    assert proposal.trigger == "accuracy fell"
    assert "70.0% right answers, against 95.0%" in proposal.sentence


def test_an_expected_loss_is_one_only_with_drift_and_without_labels() -> None:
    unlabelled = replace(FINE, accuracy=None, p_value=None, expected=Interval(0.6, 0.7))
    assert decided(unlabelled) == "nothing"
    assert decided(replace(unlabelled, drifted=5)) == "retrain"
    assert decided(replace(FINE, expected=Interval(0.6, 0.7), drifted=5)) == "nothing"


def test_broken_data_come_first() -> None:
    broken = replace(FELL, faults=("f3 is NaN in 40% of the rows.",))
    assert decided(broken) == "mend the data"
    assert decided(replace(FINE, faults=broken.faults)) == "mend the data"


def test_time_has_to_pass_and_labels_have_to_come() -> None:
    assert decided(replace(FELL, since_decision_s=3600)) == "wait"
    assert decided(replace(FELL, since_decision_s=25 * 3600)) == "retrain"
    few = replace(FELL, new_labels=99)
    choice = choose(propose(few, TERMS), few, TERMS)
    assert choice.action == "wait"
    assert "99 new labels are there, 100 are needed" in choice.sentence


def test_labels_and_the_calendar_are_reasons_if_asked_for() -> None:
    assert decided(FINE, replace(TERMS, retrain_after_labels=500)) == "retrain"
    assert decided(FINE, replace(TERMS, retrain_after_labels=501)) == "nothing"
    assert decided(replace(FINE, champion_age_s=8e4), replace(TERMS, retrain_after_h=22))


HOUR = 3600.0


def described(features: np.ndarray, kind: Kind = "array") -> Description:
    split = Split(features, np.zeros(len(features), np.int64))
    return describe(Dataset("known", ("a", "b"), 1.0, split, split, split, kind=kind))


def stream(hours: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, Description]:
    draw = np.random.default_rng(seed)
    reference = draw.normal(size=(2000, 3)).astype(np.float32)
    rows = draw.normal(size=(100 * hours, 3)).astype(np.float32)
    return rows, np.repeat(np.arange(hours) * HOUR, 100) + 1e6 * HOUR, described(reference)


def test_quiet_hours_are_kept_and_broken_ones_left_out() -> None:
    rows, times, known = stream(6)
    sound, left_out = sound_rows(rows, times, known)
    assert sound.all()
    assert left_out == ()
    rows[100:180, 0] = np.nan
    rows[300:400, 1] = 0.5
    rows[450, 2] = 1000.0
    sound, left_out = sound_rows(rows, times, known)
    assert not sound[100:200].any()
    assert not sound[300:400].any()
    assert np.flatnonzero(~sound[400:]).tolist() == [50]
    assert [one.rows for one in left_out] == [100, 100, 1]
    assert "1 of 3 features stand still, feature[1] among them" in left_out[1].sentence


def test_what_has_drifted_is_kept() -> None:
    rows, times, known = stream(3)
    assert sound_rows(rows + 1.0, times, known)[0].mean() > 0.99
    digits = load_dataset("digits")
    turned = rotate(digits.train.features, 40.0)
    sound, left_out = sound_rows(turned, np.full(len(turned), 1e9), describe(digits))
    assert sound.all(), left_out


def test_rows_and_texts_without_content_are_left_out() -> None:
    table = np.zeros(100, [("size", np.float32), ("age", np.float32), ("colour", object)])
    draw = np.random.default_rng(0)
    table["size"], table["age"] = draw.normal(size=(2, 100))
    table["colour"], table["age"][:5] = "red", np.nan
    rows, times = table[:10].copy(), np.full(10, 1e9)
    rows["size"][0], rows["size"][1], rows["colour"][2] = np.nan, 1e6, "blue"
    sound, _ = sound_rows(rows, times, described(table, "table"))
    assert np.flatnonzero(~sound).tolist() == [0, 1]  # an age may be missing, a colour new

    known = np.array([f"word{place} and more" for place in range(50)], object)
    texts = np.array(["", " ?! ", "caf\N{REPLACEMENT CHARACTER}", *["new words"] * 7], object)
    sound, left_out = sound_rows(texts, times, described(known, "text"))
    assert np.flatnonzero(~sound).tolist() == [0, 1, 2]
    assert left_out[0].sentence.startswith("Single rows hold nothing")


def test_known_periods_are_left_out() -> None:
    rows, times, known = stream(4)
    begin = np.datetime64(int(times[100]), "s")
    period = f"{begin}/{begin + np.timedelta64(30, 'm')}"
    sound, left_out = sound_rows(rows, times, known, read_periods([period]))
    assert np.flatnonzero(~sound).tolist() == list(range(100, 200))
    assert left_out[0].rows == 100
    for word in ("yesterday", "2026-01-02/2026-01-01", "2026-01-01"):
        with pytest.raises(ConfigError, match="leave_out"):
            read_periods([word])


def test_a_row_falls_into_the_same_split_whenever_it_comes() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(4000, 8, 8)).astype(np.float32)
    first, again = split_of_rows(rows), split_of_rows(rows[::-1])
    assert (first == again[::-1]).all()
    shares = [(first == name).mean() for name in ("train", "validation", "test")]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_old_and_fresh_are_mixed_and_told_apart(tmp_path) -> None:
    old = load_dataset("digits")
    fresh = Split(rotate(old.train.features[:300], 30.0), old.train.labels[:300])
    mixed = mix(old, fresh, replay=0.25, seed=0)
    origin = mixed["train"].slices["origin"]
    assert (origin == "replayed").sum() == round(0.25 * len(old.train))
    assert (mixed["test"].slices["origin"] == "replayed").sum() == len(old.test)
    assert sum((part.slices["origin"] == "fresh").sum() for part in mixed.values()) == 300
    written = write_mixed(tmp_path, "m", old, mixed)
    assert write_mixed(tmp_path, "m", old, mixed) == written
    read = load_source(written, say_nothing).data
    assert {name: part.digest() for name, part in read.splits.items()} == {
        name: part.digest() for name, part in mixed.items()
    }
    with pytest.raises(DatasetError, match="None of the 1 fresh examples"):
        mix(old, fresh.take(np.arange(1)), replay=1.0, seed=0)


def test_a_table_is_mixed_and_read_as_it_was(tmp_path) -> None:
    draw = np.random.default_rng(0)
    rows = np.zeros(400, [("label", np.float32), ("colour", object)])
    rows["label"], rows["colour"] = draw.normal(size=400), draw.choice(["red", "1", ""], 400)
    rows["label"][:9] = np.nan
    labels = draw.integers(2, size=400)
    slices = {"colour": np.where(rows["colour"] == "", "missing", rows["colour"]).astype(str)}
    whole = Split(rows, labels, slices | {"city": draw.choice(["A", "B"], 400)})
    parts = (whole.take(np.arange(start, start + 100)) for start in (0, 100, 200))
    old = Dataset("old", ("no", "yes"), 1.0, *parts, task="binary", kind="table")
    fresh = Split(rows[300:], labels[300:], told_slices(old.train, rows[300:]))
    mixed = mix(old, fresh, replay=1.0, seed=0)
    assert set(mixed["test"].slices["colour"][100:]) == {"red", "1", "missing"}
    assert set(mixed["test"].slices["city"][100:]) == {"not known"}
    read = load_source(write_mixed(tmp_path, "m", old, mixed), say_nothing).data
    assert (read.task, read.classes, read.columns) == (old.task, old.classes, old.columns)
    for name, part in mixed.items():
        its = read.splits[name]
        assert its.features.dtype == rows.dtype
        assert repr(its.features.tolist()) == repr(part.features.tolist())
        assert its.labels.tolist() == part.labels.tolist()
        assert {key: its.slices[key].tolist() for key in its.slices} == {
            key: part.slices[key].tolist() for key in part.slices
        }
