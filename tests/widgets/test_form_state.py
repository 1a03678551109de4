"""A form without a browser: what is entered, what is wrong with it, and how it is written."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from agiwb.flags import parse_flags, parser_for
from agiwb.training.config import TrainConfig
from widgets.form import ConfigForm, FormState
from widgets.form.copy_as import as_command, as_notebook, as_python, as_yaml

CHANGED: dict[str, Any] = {
    "dataset": "wine",
    "epochs": 3,
    "batch_norm": True,
    "layers": 2,
    "options": {"depth": 2, "sizes": [1, 2]},
    "learning_rate": 0.01,
}


def changed_state() -> FormState:
    state = FormState(TrainConfig)
    state.change(CHANGED)
    return state


def test_a_wrong_value_has_the_configs_own_message_and_there_is_no_config() -> None:
    state = FormState(TrainConfig)
    state.enter("epochs", 0)
    assert state.config is None
    assert set(state.errors) == {"epochs"}
    assert "`epochs` cannot be 0" in state.errors["epochs"]
    assert "<= 10000" in state.errors["epochs"]
    state.enter("epochs", 5)
    assert state.errors == {}
    assert state.config == TrainConfig(epochs=5)


def test_a_misspelt_name_is_told_beside_its_field_with_the_nearest() -> None:
    state = FormState(TrainConfig)
    state.enter("dataset", "digit")
    assert "Did you mean `digits`?" in state.errors["dataset"]
    state.enter("dataset", "digits")
    state.enter("architecture", "cnm")
    assert "Did you mean `cnn`?" in state.errors["architecture"]


def test_what_is_wrong_with_several_fields_together_is_told_of_the_whole() -> None:
    state = FormState(TrainConfig)
    state.enter("warmup_epochs", 50.0)
    assert state.errors == {}
    assert "warmup_epochs (50) is more than epochs (12)" in state.problem
    assert state.config is None


def test_an_empty_entry_means_the_default() -> None:
    state = changed_state()
    state.enter("layers", "")
    assert state.config is not None
    assert state.config.layers is None


def test_an_earlier_runs_fields_are_loaded_and_what_is_no_field_any_more_is_passed_over() -> None:
    config = TrainConfig(**CHANGED)
    state = FormState(TrainConfig)
    state.load({**config.model_dump(mode="json"), "gone": 1})
    assert state.config == config


def test_the_command_line_makes_the_same_config() -> None:
    command = as_command("train", changed_state())
    words = shlex.split(command)
    assert words[:2] == ["agiwb", "train"]
    config, rest = parse_flags(parser_for("train", "", TrainConfig), TrainConfig, words[2:])
    assert config == TrainConfig(**CHANGED)
    assert rest == {}


def test_the_python_call_makes_the_same_config() -> None:
    source = as_python("train", changed_state())
    assert source.startswith("from agiwb import TrainConfig, train\n")
    call = source.splitlines()[-1]
    config = eval(call, {"TrainConfig": TrainConfig, "train": lambda config: config})  # noqa: S307
    assert config == TrainConfig(**CHANGED)


def test_the_notebooks_parameters_and_the_yaml_make_the_same_config() -> None:
    cell: dict[str, Any] = {}
    exec(as_notebook("train", changed_state()), cell)  # noqa: S102
    assert TrainConfig.from_notebook(cell) == TrainConfig(**CHANGED)
    fields = yaml.safe_load(as_yaml("train", changed_state()))
    assert TrainConfig.from_mapping(fields) == TrainConfig(**CHANGED)


def test_a_form_of_defaults_is_written_as_valid_files() -> None:
    state = FormState(TrainConfig)
    assert as_command("train", state) == "agiwb train"
    assert TrainConfig.from_mapping(yaml.safe_load(as_yaml("train", state))) == TrainConfig()


@pytest.mark.parametrize(
    ("step", "words"), [("add_dataset", "datasets add"), ("import_model", "import")]
)
def test_commands_are_called_as_the_command_line_has_them(step: str, words: str) -> None:
    state = FormState(TrainConfig)
    assert as_command(step, state) == f"agiwb {words}"


def test_the_view_shows_the_message_beside_the_field_and_the_rest_on_request() -> None:
    form = ConfigForm(TrainConfig, basic=("dataset", "epochs"), step_name="train")
    assert list(form.rows) == ["dataset", "epochs"]
    form.rows["epochs"].control.value = -1
    assert form.rows["epochs"].note.wrong
    assert "cannot be -1" in form.rows["epochs"].note.text
    form.more.value = True
    assert set(form.rows) == set(TrainConfig.model_fields)
    assert form.rows["epochs"].control.description == "Epochs"
    form.state.load({})
    assert form.rows["epochs"].control.value == 12


def test_what_is_copied_is_what_is_shown_and_nothing_while_it_is_wrong() -> None:
    form = ConfigForm(TrainConfig, step_name="train")
    assert form.copy.layout.display == "none"
    form.face.value = "Command line"
    form.rows["epochs"].control.value = 3
    assert form.copy.text == form.text.value == "agiwb train --epochs 3"
    assert form.copy.layout.display == ""
    form.rows["epochs"].control.value = -1
    assert form.copy.layout.display == "none"


def test_a_preset_and_an_earlier_run_fill_in_the_form_and_the_text_follows() -> None:
    form = ConfigForm(
        TrainConfig,
        presets={"short": {"epochs": 2}},
        earlier=[("yesterday", {"epochs": 7, "seed": 3})],
        step_name="train",
    )
    form.face.value = "Command line"
    form.preset.value = "short"
    assert form.text.value == "agiwb train --epochs 2"
    form.runs.value = "yesterday"
    assert form.text.value == "agiwb train --epochs 7 --seed 3"
    assert form.preset.value == ""  # it is no longer what is on screen
    assert form.runs.layout.display == ""
    form.show_earlier([("today", {"epochs": 9}), ("yesterday", {"epochs": 7, "seed": 3})])
    assert form.runs.value == "yesterday"  # as when a job was started from it
    form.rows["epochs"].control.value = 8
    assert form.runs.value == ""
    form.runs.value = "yesterday"  # and back
    assert form.state.values["epochs"] == 7
    form.rows["epochs"].control.value = 0
    assert "wrong" in form.text.value


def test_no_menu_is_blank_at_first_nor_when_it_is_set_back() -> None:
    form = ConfigForm(TrainConfig, presets={"short": {"epochs": 2}}, step_name="train")
    form.more.value = True
    menus = [form.preset, form.runs, form.face]
    menus += [row.control for row in form.rows.values() if hasattr(row.control, "index")]
    assert len(menus) > 4
    assert form.runs.layout.display == "none"  # there is no earlier run to start from
    assert all(menu.index is not None for menu in menus)
    form.preset.value = "short"
    form.preset.index = 0
    assert form.preset.index == 0
    assert form.preset.label == "as it stands"
    assert form.state.values["epochs"] == 2
