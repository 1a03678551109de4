"""The page of a model's life cycle, from records of real runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from agiwb import ConvertConfig, TrainRecord, convert
from agiwb.reporting.lifecycle import LifeCycle, newest_life_cycle, sections, write_report
from agiwb.serving.prediction_log import PredictionWindow

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cycle(digits_run: TrainRecord) -> LifeCycle:
    """A model that was trained, converted and asked."""
    converted = convert(ConvertConfig(model=digits_run.run.id, formats=("keras", "onnx")))
    served = PredictionWindow(
        times=np.arange(20.0),
        features=np.random.default_rng(0).random((20, 8, 8)).astype(np.float32),
        probabilities=np.eye(10, dtype=np.float32)[np.arange(20) % 10],
        versions=np.ones(20, np.int64),
    )
    return LifeCycle.of([digits_run, converted], served)


def test_each_step_that_was_done_is_a_section(cycle: LifeCycle) -> None:
    assert [section.title for section in sections(cycle)] == ["Train", "Convert", "Serve"]


def test_the_page_stands_alone_and_says_what_was_measured(cycle: LifeCycle, tmp_path: Path) -> None:
    write_report(cycle, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert f"accuracy on 360 test examples is {cycle.train.metrics['test_accuracy']:.1%}" in page
    assert "2 of 2 formats" in page
    assert "logged 20 examples" in page
    assert cycle.train.run.id[:8] in page
    assert page.count("<img ") == page.count('alt="') == 3


def test_what_a_user_named_is_escaped(cycle: LifeCycle, tmp_path: Path) -> None:
    hostile = cycle.train.model_copy(update={"model_name": "<script>alert(1)</script>"})
    write_report(dataclasses.replace(cycle, train=hostile), tmp_path / "report.html")
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_the_newest_life_cycle_follows_the_lineage(
    cycle: LifeCycle, digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    found = newest_life_cycle(digits_run.run.id)
    sources = {digits_run.run.id} | ({found.sweep.run.id} if found.sweep else set())
    assert found.train == digits_run
    assert found.convert is not None
    assert found.convert.run.provenance.parents["model"] in sources
