"""How long runs take: foreseen from one row and from several."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.servables import timing
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.servables.timing import time_runs


@pytest.fixture(autouse=True)
def _only_runs_take_time(monkeypatch):
    """A busy machine's sleeps last now longer, now less long."""
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: Timed.clock))


class Timed:
    """Takes so long for each run, and for each row of it."""

    inline = True
    clock = 0.0

    def __init__(self, run_s: float, row_s: float, shape=(None, 4), most_rows=math.inf) -> None:
        spec = TensorSpec(name="x", dtype="float32", shape=shape)
        signature = Signature(inputs=(spec,), outputs=(spec,))
        self.signatures = {SIGNATURE_NAME: ServedSignature(signature)}
        self.run_s, self.row_s, self.most_rows = run_s, row_s, most_rows
        self.asked: list[int] = []

    def run(self, inputs, signature_name=SIGNATURE_NAME, outputs=()):
        rows = len(inputs["x"])
        if rows > self.most_rows:
            raise InputError("Too many rows.")
        self.asked.append(rows)
        Timed.clock += self.run_s + rows * self.row_s
        return inputs


def test_what_a_run_costs_is_told_apart_from_what_its_rows_cost():
    found = time_runs(Timed(0.004, 0.001))
    assert (found.row_s, found.run_s) == pytest.approx((0.001, 0.004))
    assert found.seconds(32) == pytest.approx(0.036)


def test_a_model_whose_rows_are_slow_is_asked_for_one_row_only():
    slow = Timed(0.0, 0.02)
    assert time_runs(slow).row_s == pytest.approx(0.02)
    assert set(slow.asked) == {1}


@pytest.mark.parametrize("shape", [(1, 4), (8, 4)])
def test_a_fixed_number_of_rows_is_divided_by(shape):
    found = time_runs(Timed(0.008, 0.0, shape))
    assert found.run_s == 0
    assert found.row_s == pytest.approx(0.008 / shape[0])


def test_nothing_is_known_of_a_model_that_refuses_zeros_or_takes_any_length():
    assert time_runs(Timed(0, 0, most_rows=0)) == RunTime()
    assert time_runs(Timed(0, 0, shape=(None, None))) == RunTime()


def test_a_model_that_takes_one_row_only_is_known_by_that():
    found = time_runs(Timed(0.001, 0.0, most_rows=1))
    assert (found.row_s, found.run_s) == (pytest.approx(0.001), 0)


def test_most_rows_within_a_time():
    assert RunTime(row_s=0.001, run_s=0.002).most_rows(0.0101, 256) == 8
    assert RunTime(row_s=0.001, run_s=0.002).most_rows(0.0025, 256) == 0
    assert RunTime(row_s=0.0, run_s=0.001).most_rows(0.002, 256) == 256
    assert RunTime(row_s=1e-6).most_rows(0.002, 256) == 256
    assert RunTime().most_rows(1.0, 256) == 0
    assert np.isinf(RunTime().seconds(1))
