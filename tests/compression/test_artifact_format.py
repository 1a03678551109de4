from __future__ import annotations

from typing import get_args

import pytest

from agiwb.artifacts.manifest import FORMATS, MODEL_FILES
from agiwb.compression.artifact_format import artifact_format
from agiwb.compression.recipe import parse_recipe
from agiwb.compression.stages import Form


@pytest.mark.parametrize("recipe", ["baseline", "prune_80", *get_args(Form)])
def test_the_format_has_the_recipes_runtime_or_there_is_none(recipe: str) -> None:
    parsed = parse_recipe(recipe)
    found = artifact_format(parsed)
    if recipe in {"onnx_int8", "onnx_dynamic"}:
        assert found is None
    else:
        assert found in FORMATS
        assert MODEL_FILES[found] == parsed.file_name


def test_numbers_decide_not_what_was_trained() -> None:
    assert artifact_format(parse_recipe("prune_80+int8")) == "litert_int8"
    assert artifact_format(parse_recipe("cluster_16+onnx_float16")) == "onnx_float16"
