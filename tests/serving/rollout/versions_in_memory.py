"""Versions of one model that are functions, held the way the catalogue holds loaded ones."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agiwb.serving.servables.servable import RunTime
from agiwb.serving.status import Code, Refusal


class FunctionServable:
    run_time = RunTime(0.0)
    inline = True

    def __init__(self, function):
        self.function = function
        self.signatures = {}

    def run(self, inputs, signature_name="serving_default", outputs=()):
        return self.function(inputs)

    def close(self):
        pass


@dataclass
class Held:
    name: str
    number: int
    servable: FunctionServable
    classes: tuple[str, ...] = ()


@dataclass
class Configured:
    name: str
    base_path: Path


@dataclass
class VersionsInMemory:
    base_path: Path
    functions: dict = field(default_factory=dict)
    name: str = "m"

    def models(self):
        return (Configured(self.name, self.base_path),)

    def available(self, name):
        return tuple(sorted(self.functions)) if name == self.name else ()

    def held(self, number):
        return Held(self.name, number, FunctionServable(self.functions[number]))

    @contextlib.contextmanager
    def lease(self, spec):
        if spec.version not in self.functions:
            raise Refusal(Code.NOT_FOUND, f"Servable not found for request: {spec}")
        yield self.held(spec.version)


def scores(inputs):
    """Two classes; the second where x is positive."""
    x = inputs["x"]
    return {"y": np.stack([-x, x], axis=1)}


def inverted(inputs):
    return {"y": -scores(inputs)["y"]}


def failing(inputs):
    raise RuntimeError("out of order")
