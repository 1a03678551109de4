"""Which of a model's formats is taken where nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb.artifacts.any_format import OneArtifactConfig, find_source
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.evaluation.record import EvaluateConfig
from agiwb.monitoring.config import MonitorConfig
from agiwb.planning.plan import PlanConfig
from agiwb.runs.store import open_store
from agiwb.serving.serve import ServeConfig
from tests.artifacts.test_resolve import make

CONFIGS: dict[type[OneArtifactConfig], dict[str, float]] = {
    EvaluateConfig: {},
    MonitorConfig: {},
    ServeConfig: {},
    PlanConfig: {"rps": 1.0, "p99_ms": 50.0},
}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_folder_brings_its_format_unless_one_is_given(
    tmp_path: Path, config: type[OneArtifactConfig]
) -> None:
    (tmp_path / "model.tflite").touch()

    def taken(**given: str) -> str:
        return str(config(**CONFIGS[config], **given).model_dump()["format"])

    assert taken(model=str(tmp_path)) == "litert"
    assert taken(model=str(tmp_path), format="litert_int8") == "litert_int8"
    assert taken(model="digits-cnn") == "onnx"


def test_a_folder_is_taken_before_those_beside_it(tmp_path: Path, workspace: Path) -> None:
    onnx = make(tmp_path / "onnx", "onnx")
    make(tmp_path / "h5", "h5")
    make(tmp_path / "litert", "litert")
    found = find_source(str(onnx), open_store())
    assert isinstance(found, ArtifactSource)
    assert found.artifact.format == "onnx"


def test_a_format_that_a_step_does_not_take_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "frozen.pb").touch()
    assert ServeConfig(model=str(tmp_path)).format == "onnx"
    assert EvaluateConfig(model=str(tmp_path)).format == "frozen_pb"
