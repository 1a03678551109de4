"""Compaction beside a server: children that are stopped, and those that cannot be started."""

from __future__ import annotations

import logging
import sys
import time

import pytest

from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.upkeep import Upkeep
from tests.serving.prediction_log.logged_predictions import prediction, write


@pytest.fixture
def predictions(tmp_path):
    (tmp_path / "predictions" / "m").mkdir(parents=True)
    return tmp_path / "predictions"


def test_a_child_is_stopped_whenever_the_stop_comes(tmp_path, predictions, monkeypatch):
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    start = time.monotonic()
    for turn in range(20):
        upkeep = Upkeep(predictions, LogPolicy())
        upkeep.start()
        time.sleep(turn * 0.0005)
        upkeep.stop()
    assert time.monotonic() - start < 120


def test_what_cannot_be_started_is_told_and_tried_again(tmp_path, predictions, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    upkeep = Upkeep(predictions, LogPolicy(), every_s=0.01)
    with caplog.at_level(logging.WARNING, "agiwb"):
        upkeep.start()
        ends = time.monotonic() + 60
        while len(caplog.records) < 2:
            assert time.monotonic() < ends
            time.sleep(0.01)
        upkeep.stop()
    assert "is not looked after: No such file" in caplog.text


@pytest.mark.slow
def test_what_was_logged_last_is_in_the_object_store_after_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("AGIWB_ARTIFACTS", f"file://{tmp_path}/shared")
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    upkeep = Upkeep(tmp_path / "predictions", LogPolicy())
    upkeep.start()
    write(tmp_path / "predictions", prediction(1.0))  # the upkeep waits for an hour by now
    upkeep.stop()
    ends = time.monotonic() + 60  # a child that takes long goes on by itself
    while not list(tmp_path.glob("shared/predictions/m/rollups/*/day=1970-01-01/part-*.parquet")):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert list(tmp_path.glob("shared/predictions/m/day=1970-01-01/part-*.parquet"))
