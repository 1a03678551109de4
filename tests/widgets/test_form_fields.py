"""What a form makes of a config's fields, for every step there is."""

from __future__ import annotations

import pytest

from agiwb.runs.registry import STEPS, load_step
from agiwb.training.config import TrainConfig
from widgets.form.fields import FormField, fields_of


def field_of(step: str, name: str) -> FormField:
    return next(field for field in fields_of(load_step(step).config_type) if field.name == name)


@pytest.mark.parametrize("step", STEPS)
def test_what_is_shown_of_a_default_is_entered_as_it_was(step: str) -> None:
    config_type = load_step(step).config_type
    fields = fields_of(config_type)
    assert [field.name for field in fields] == list(config_type.model_fields)
    required = {field.name for field in fields if field.required}
    entered = {field.name: field.entered(field.shown(field.default)) for field in fields}
    given = {name: value for name, value in entered.items() if name not in required}
    if not required:
        assert config_type(**given) == config_type()
    assert all(field.help for field in fields)


def test_each_kind_of_field_is_entered_in_its_own_way() -> None:
    kinds = {field.name: field.kind for field in fields_of(TrainConfig)}
    assert kinds["epochs"] == "whole"
    assert kinds["learning_rate"] == "number"
    assert kinds["batch_norm"] == "flag"
    assert kinds["optimizer"] == "choice"
    assert kinds["dataset"] == "text"
    assert kinds["options"] == "pairs"
    assert field_of("sweep", "recipes").kind == "words"
    assert field_of("convert", "formats").kind == "several"
    assert field_of("search", "space").kind == "yaml"


def test_a_family_is_suggested_where_anything_may_be_typed() -> None:
    architecture = field_of("train", "architecture")
    assert architecture.kind == "text"
    assert {"auto", "cnn", "mlp"} <= set(architecture.choices)


def test_labels_are_words_with_their_unit() -> None:
    assert field_of("train", "batch_size").label == "Batch size (examples)"
    assert field_of("train", "l2").label == "L2"
    assert field_of("sweep", "timeout_s").label == "Timeout (seconds)"
    assert field_of("train", "epochs").label == "Epochs"


def test_words_pairs_and_yaml_come_back_as_they_were() -> None:
    recipes = field_of("sweep", "recipes")
    assert recipes.entered(recipes.shown(("baseline", "two words"))) == ("baseline", "two words")
    options = field_of("train", "options")
    assert options.entered(options.shown({"a": 1, "b": [1, 2]})) == {"a": 1, "b": [1, 2]}
    space = field_of("search", "space")
    value = {"learning_rate": {"low": 0.001, "high": 0.1}}
    assert space.entered(space.shown(value)) == value


def test_none_of_several_is_what_the_step_decides_where_it_may() -> None:
    formats = field_of("retrain", "formats")
    assert formats.kind == "several"
    assert formats.entered(formats.shown(None)) is None
    assert formats.entered(("onnx",)) == ("onnx",)
    assert "one of keras, h5," in formats.help
    assert field_of("convert", "formats").entered(()) == ()


def test_text_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="quotation"):
        field_of("sweep", "recipes").entered('"open')
    with pytest.raises(ValueError, match="not valid YAML"):
        field_of("search", "space").entered("{a: [")
