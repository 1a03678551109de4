"""Recipes as data: parameters beyond the number, ONNX forms, prefixes, and the ways back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agiwb.compression.recipe import (
    Conversion,
    Recipe,
    RecipeText,
    parse_recipe,
    read_recipe,
    read_recipe_file,
)
from agiwb.compression.stages import Form
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.distillation import Distillation
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.low_rank import LowRank
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.structured_pruning import StructuredPruning
from agiwb.compression.techniques.two_four import TwoFour
from agiwb.config import Config
from agiwb.errors import ConfigError

PERCENT = st.integers(1, 99)
ENGINE = st.sampled_from(["keras", "tfmot"])
SHARE = st.floats(0, 1, exclude_min=True)
TRAINING: tuple[st.SearchStrategy[Any], ...] = (
    st.builds(
        Distillation,
        percent=PERCENT,
        temperature=st.floats(1e-3, 1e3),
        hint=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    ),
    st.builds(StructuredPruning, percent=PERCENT, importance=st.sampled_from(["l1", "batch_norm"])),
    st.builds(LowRank, percent=PERCENT, energy=st.none() | SHARE, smallest=st.integers(0, 10**6)),
    st.builds(
        MagnitudePruning, percent=PERCENT, scope=st.sampled_from(["layer", "global"]), engine=ENGINE
    ),
    st.builds(TwoFour),
    st.builds(Cluster, clusters=st.integers(2, 256), per_channel=st.booleans(), engine=ENGINE),
    st.builds(QuantizationAware, engine=ENGINE),
)
CONVERSION = st.one_of(
    st.builds(Conversion, form=st.sampled_from(get_args(Form))),
    st.builds(
        Conversion,
        form=st.just("onnx_int8"),
        calibration=st.sampled_from(["entropy", "percentile"]),
        per_channel=st.booleans(),
    ),
)
RECIPES = st.tuples(*(st.none() | each for each in (*TRAINING, CONVERSION))).map(
    lambda stages: Recipe(tuple(stage for stage in stages if stage is not None))
)


@settings(deadline=None)
@given(RECIPES)
def test_a_recipe_is_read_back_from_its_name_and_from_its_data(recipe: Recipe):
    assert parse_recipe(recipe.name) == recipe
    assert read_recipe(recipe.as_data()) == recipe
    assert "/" not in recipe.name


@settings(deadline=None)
@given(recipe=RECIPES)
def test_a_recipe_file_is_read_back(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory):
    file = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    file.write_text(recipe.as_yaml(), "utf-8")
    assert read_recipe_file(file) == recipe


def test_parameters_beyond_the_number_are_written_after_colons_and_in_mappings():
    text = "prune_80:scope=global:schedule=constant+onnx_int8:calibration=entropy"
    data = [
        {"prune": {"percent": 80, "schedule": "constant", "scope": "global"}},
        {"onnx_int8": {"calibration": "entropy"}},
    ]
    assert read_recipe(data) == parse_recipe(text)
    assert read_recipe(data).name == text
    assert read_recipe(["prune_80", "int8"]).name == "prune_80+int8"
    assert read_recipe([{"qat": None}]).name == "qat"


def test_a_config_takes_either_form_and_keeps_the_text():
    class Holder(Config):
        recipes: tuple[RecipeText, ...]

    held = Holder(recipes=["int8", [{"prune": {"percent": 30}}, "onnx"], []])  # type: ignore[arg-type]
    assert held.recipes == ("int8", "prune_30+onnx", "baseline")


@pytest.mark.parametrize(
    ("form", "file", "precision"),
    [
        ("baseline", "model.tflite", "float32"),
        ("int16x8", "model.tflite", "int16x8"),
        ("onnx", "model.onnx", "float32"),
        ("prune_50+onnx_float16", "model.onnx", "float16"),
        ("onnx_dynamic", "model.onnx", "dynamic"),
        ("qat+onnx_int8", "model.onnx", "int8"),
    ],
)
def test_a_recipe_says_which_file_it_makes(form: str, file: str, precision: str):
    recipe = parse_recipe(form)
    assert (recipe.file_name, recipe.precision) == (file, precision)


def test_prefixes_end_after_each_stage_that_trains():
    recipe = parse_recipe("rank_50+prune_80+cluster_16+onnx_int8")
    assert [prefix.name for prefix in recipe.prefixes()] == [
        "rank_50",
        "rank_50+prune_80",
        "rank_50+prune_80+cluster_16",
    ]
    assert parse_recipe("int8").prefixes() == ()


def test_an_engine_goes_to_the_stages_that_have_a_choice():
    recipe = parse_recipe("shrink_50+prune_80+qat+int8").with_engine("tfmot")
    assert recipe.name == "shrink_50+prune_80:engine=tfmot+qat:engine=tfmot+int8"
    assert recipe.with_engine("keras").name == "shrink_50+prune_80+qat+int8"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("prune_80:scop=global", "Did you mean `scope`?"),
        ("prune_80:scope=all", "global, layer"),
        ("prune_80:percent=3", "`percent` of `prune` twice"),
        ("prune_80:scope", "`scope` of `prune` without a value"),
        ("int8:calibration=entropy", "Give them to `onnx_int8`"),
        ("onx_int8", "Did you mean `onnx_int8`?"),
        ("int8+onnx", "two stages of the same kind"),
        ([{"prun": {"percent": 3}}], "unknown stage `prun`"),
        ([{"prune": 80}], "Write names and values"),
        ([{"prune": {}, "int8": {}}], "one word with its parameters"),
        ([["int8"]], "no stage"),
        (80, "neither text nor a list"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(written: object, says: str):
    with pytest.raises(ConfigError, match=r".") as caught:
        read_recipe(written)
    assert says in str(caught.value)


def test_a_file_without_a_recipe_is_refused(tmp_path: Path):
    file = tmp_path / "recipe.yaml"
    file.write_text("prune: 80\n")
    with pytest.raises(ConfigError, match="no field `recipe`"):
        read_recipe_file(file)
