"""Engines over real models, with what a test must see and hold of them."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Answer, Caller, ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.policy import All
from agiwb.serving.servables.servable import RunTime, Servable
from agiwb.serving.versions import Version
from tests.serving.onnx_models import (
    write_convolution,
    write_echo,
    write_lookup,
    write_mlp,
    write_two_by_two,
)

_numbers = itertools.count()


class Composite:
    """One servable whose signatures are models of their own."""

    inline = True

    def __init__(self, models: Mapping[str, Servable]) -> None:
        self._models = models
        self.signatures = {name: model.signatures[SIGNATURE_NAME] for name, model in models.items()}
        self.run_time = max((m.run_time for m in models.values()), key=lambda time: time.seconds(1))

    def run(
        self, inputs: Tensors, signature_name: str = SIGNATURE_NAME, outputs: Sequence[str] = ()
    ) -> Tensors:
        if signature_name not in self._models:
            raise InputError(f"The model has no signature `{signature_name}`.")
        return self._models[signature_name].run(inputs, SIGNATURE_NAME, outputs)

    def close(self) -> None:
        for model in self._models.values():
            model.close()


class Watched:
    """A real model whose runs are noted, and wait while ``go`` is not set.

    Attributes:
        runs: The rows of each run.
        threads: Where each run was.
    """

    def __init__(
        self, model: Servable, *, inline: bool | None = None, run_time: RunTime | None = None
    ) -> None:
        self._model = model
        self.signatures = model.signatures
        self.run_time = run_time or RunTime(1e-5)
        self.inline = model.inline if inline is None else inline
        self.runs: list[int] = []
        self.threads: list[str] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def run(
        self, inputs: Tensors, signature_name: str = SIGNATURE_NAME, outputs: Sequence[str] = ()
    ) -> Tensors:
        self.runs.append(max((len(array) for array in inputs.values() if array.ndim), default=1))
        self.threads.append(threading.current_thread().name)
        self.begun.set()
        assert self.go.wait(60)
        return self._model.run(inputs, signature_name, outputs)

    def forget(self) -> None:
        """Forget the runs of loading."""
        self.runs.clear()
        self.threads.clear()
        self.begun.clear()

    def close(self) -> None:
        self._model.close()


def load(folder: Path) -> Servable:
    """Return the model in a folder named by its version."""
    return load_servable("m", Version(1, folder))


def load_composite(folder: Path) -> Composite:
    """Return several real models as the signatures of one."""
    writers = {
        SIGNATURE_NAME: write_two_by_two,
        "classify": lambda where: write_mlp(where, features=4, hidden=8, classes=3),
        "sums": write_convolution,
        "lookup": write_lookup,
        "echo": write_echo,
    }
    return Composite({name: load(write(folder / name / "1")) for name, write in writers.items()})


@contextlib.contextmanager
def engine_of(
    folder: Path, models: Mapping[str, Servable | Sequence[Servable]], **options: Any
) -> Iterator[Engine]:
    """Yield an engine of ``models``; several of a name are its versions 1, 2, ..."""
    versions = {
        name: [given] if not isinstance(given, list | tuple) else list(given)
        for name, given in models.items()
    }
    for name, numbered in versions.items():
        for number in range(len(numbered)):
            version = folder / name / str(number + 1)
            version.mkdir(parents=True)
            (version / "model").write_text("an empty folder is taken for one still being copied")
    catalogue = Catalogue(
        lambda name, version: Prepared(versions[name][version.number - 1]), poll_s=0.05
    )
    catalogue.configure([ModelConfig(name, folder / name, All()) for name in versions])
    rollout = Rollout(catalogue)
    engine = Engine(catalogue, metrics=Metrics(), rollout=rollout, **options)
    try:
        catalogue.start()
        assert catalogue.wait_until_ready(60)
        wait_for(
            lambda: all(
                len(catalogue.available(name)) == len(numbered)
                for name, numbered in versions.items()
            )
        )
        rollout.refresh()
        for numbered in versions.values():
            for model in numbered:
                if isinstance(model, Watched):
                    model.forget()
        yield engine
    finally:
        engine.close()
        rollout.stop()
        catalogue.stop()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Return once it is so; fail after a minute."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def caller(deadline: float | None = None, **fields: Any) -> Caller:
    """Return a client whose request has an id of its own."""
    return Caller(f"r{next(_numbers)}", "tfs_rest", deadline=deadline, **fields)


async def ask(
    engine: Engine,
    inputs: Tensors,
    signature: str = "",
    *,
    model: str = "m",
    version: int | None = None,
    outputs: Sequence[str] = (),
    by: Caller | None = None,
) -> Answer:
    """Ask on the loop, as HTTP does."""
    by = by or caller()
    with engine.exchange(ModelSpec(model, version), by) as exchange:
        exchange.asks(signature, inputs)
        return await engine.predict(exchange.version, signature, inputs, by, outputs)


def ask_now(
    engine: Engine, inputs: Tensors, signature: str = "", *, by: Caller | None = None
) -> Answer:
    """Ask in this thread, as gRPC does."""
    by = by or caller()
    with engine.exchange(ModelSpec("m"), by) as exchange:
        exchange.asks(signature, inputs)
        return engine.predict_now(exchange.version, signature, inputs, by)
