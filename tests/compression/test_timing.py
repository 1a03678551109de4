"""Measuring latency in a process of its own: what comes back, and what ends it.

How fast anything is, is not asserted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agiwb.compression import timing
from agiwb.compression.bare_calls import open_call
from agiwb.compression.timing import LatencyProtocol, TimingReport, measure_latency
from agiwb.compression.whereabouts import Whereabouts, WhereaboutsFile, read_whereabouts
from agiwb.errors import CancelledError, WorkError
from tests.compression.hand_made_files import linear, texts

EXAMPLES = np.ones((3, 4), np.float32)
PROTOCOL = LatencyProtocol(blocks=5, runs=4, seed=0, batch=8)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    weights = np.zeros((4, 3), np.float32)
    return {
        "baseline": linear(tmp_path / "model.onnx", weights),
        "only singles": linear(tmp_path / "single.onnx", weights, batch=1),
    }


def measure(
    files: dict[str, Path], progress: Callable[[int, int], None] = lambda _done, _total: None
) -> TimingReport:
    return measure_latency(files, "baseline", EXAMPLES, PROTOCOL, progress)


@pytest.mark.slow
def test_every_candidate_has_all_its_times(files: dict[str, Path]):
    seen: list[tuple[int, int]] = []
    report = measure(files, lambda done, total: seen.append((done, total)))
    assert report.batch_size == 8
    assert set(report.load_ms) == set(files)
    assert all(milliseconds > 0 for milliseconds in report.load_ms.values())
    for found in (report.single, report.batch):
        assert set(found.by_name) == set(files)
        assert found.by_name["baseline"].ratio == 1
        assert found.noise_ratio > 0
        assert found.floor >= 1.02
        assert all(0 < one.p50_ms <= one.p90_ms for one in found.by_name.values())
    assert seen == sorted(seen)
    assert seen[-1] == (15, 15)


def test_a_call_runs_the_model_on_the_examples_that_are_bound(tmp_path: Path):
    batch = np.array([[1, 2], [3, 4]], np.float64)
    for size in ("n", 1):
        file = linear(tmp_path / "model.onnx", np.eye(2, dtype=np.float32), size)
        call = open_call(file, batch)
        call()
        call()
    call = open_call(texts(tmp_path / "texts.onnx", {"good": 0.75}), np.array(["good"]))
    np.testing.assert_allclose(call()[0], [[0.75, 0.25]])


def test_a_file_that_cannot_run_one_example_is_refused(tmp_path: Path):
    file = linear(tmp_path / "model.onnx", np.eye(2, dtype=np.float32))
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        open_call(file, np.zeros((1, 7), np.float32))


def interpreter_that(does: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put into the measuring process a LiteRT whose inference ``does`` something else.

    It behaves in the processes that are forked for loading, and is otherwise as native code may be.
    """
    package = folder / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        "import os, time\n"
        "import numpy as np\n"
        "here = os.getpid()\n"
        "class Interpreter:\n"
        "    def __init__(self, **_): pass\n"
        "    def get_input_details(self): return [{'index': 0, 'dtype': np.float32}]\n"
        "    def resize_tensor_input(self, *_): pass\n"
        "    def allocate_tensors(self): pass\n"
        "    def set_tensor(self, *_): pass\n"
        "    def invoke(self):\n"
        f"        if os.getpid() == here: {does}\n",
        "utf-8",
    )
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.mark.slow
def test_a_crash_names_the_candidate(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    interpreter_that("os.kill(here, 11)", tmp_path, monkeypatch)
    with pytest.raises(WorkError, match=r"while `int8` was measured: .*crashed \(SIGSEGV\)"):
        measure({**files, "int8": tmp_path / "model.tflite"})


@pytest.mark.slow
def test_a_hang_names_the_candidate(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timing, "_STUCK_S", 5.0)
    interpreter_that("time.sleep(300)", tmp_path, monkeypatch)
    begun = time.monotonic()
    with pytest.raises(WorkError, match="while `int8` was measured: It gave no answer within 5 s"):
        measure({**files, "int8": tmp_path / "model.tflite"})
    assert time.monotonic() - begun < 200  # and not the five minutes that it would have slept


@pytest.mark.slow
def test_a_file_that_does_not_load_anew_names_the_candidate(files: dict[str, Path], tmp_path: Path):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"not a model")
    with pytest.raises(WorkError, match="while `other` was measured: The file could not be loaded"):
        measure({**files, "other": damaged})


@pytest.mark.slow
def test_cancelling_ends_the_measurement(files: dict[str, Path]):
    def cancelled(_done: int, _total: int) -> None:
        raise CancelledError("The run was cancelled.")

    with pytest.raises(CancelledError):
        measure(files, cancelled)


def test_whereabouts_can_be_read_while_they_are_written(tmp_path: Path):
    path = tmp_path / "whereabouts"
    assert read_whereabouts(path) is None
    file = WhereaboutsFile(path, total=9)
    assert read_whereabouts(path) is None
    file.take_turn(3)
    assert read_whereabouts(path) == Whereabouts(3, 0, 9)
    file.end_round()
    file.take_turn(1)
    assert read_whereabouts(path) == Whereabouts(1, 1, 9)
