"""A loader over ONNX Runtime that notices what a catalogue does wrong, and a quick catalogue."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig, State
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.status import Refusal
from tests.serving.onnx_models import write_half_plus_two


class WatchedServable:
    """``model.onnx`` in a folder; running it after ``close`` is counted."""

    inline = True
    run_time = RunTime(1e-5)

    def __init__(self, folder: Path) -> None:
        self._runtime = OnnxRuntime(folder / "model.onnx")
        self.signatures = {SIGNATURE_NAME: ServedSignature(self._runtime.signature)}
        self.closed = 0
        self.used_after_close = 0

    def run(self, inputs, signature_name=SIGNATURE_NAME, outputs=()):
        self.used_after_close += bool(self.closed)
        answer = self._runtime.run(inputs)
        self.used_after_close += bool(self.closed)
        return answer

    def close(self) -> None:
        self.closed += 1


class WatchedLoader:
    """Loads WatchedServables, in order noted; ``slow_s`` makes loads take that long."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.servables: list[WatchedServable] = []
        self.loads: list[tuple[str, int]] = []
        self.threads: set[str] = set()
        self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self._slow_s = slow_s
        self._at_once = 0

    def __call__(self, name, version):
        self.loads.append((name, version.number))
        self.threads.add(threading.current_thread().name)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.gate.wait(60)
            time.sleep(self._slow_s)
            servable = WatchedServable(version.folder)
        finally:
            self._at_once -= 1
        self.servables.append(servable)
        return servable


@contextlib.contextmanager
def running(load, *models: ModelConfig, **options) -> Iterator[Catalogue]:
    """Give a started catalogue of ``models`` that looks every 20 ms."""
    catalogue = Catalogue(load, **{"poll_s": 0.02, "retry_wait_s": 0.02} | options)
    catalogue.configure(models)
    catalogue.start()
    try:
        yield catalogue
    finally:
        catalogue.stop(drain_s=2)


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Return whether ``condition`` came true."""
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True


def states(catalogue: Catalogue, name: str = "m") -> dict[int, State]:
    """Return the state of each version; none before the first look."""
    try:
        statuses = catalogue.status(ModelSpec(name))
    except Refusal:
        return {}
    return {status.version: status.state for status in statuses}


def answer(catalogue: Catalogue, spec: ModelSpec) -> tuple[int, float]:
    """Return the version that answered for x = 2, and y."""
    with catalogue.lease(spec) as version:
        outputs = version.servable.run({"x": np.float32([2.0])})
    return version.number, float(outputs["y"][0])


def add_version(base_path: Path, number: int) -> Path:
    """Return a version that adds its number, come into being by a rename as a publisher does it."""
    draft = write_half_plus_two(base_path / f".{number}.part", float(number))
    return draft.rename(base_path / str(number))
