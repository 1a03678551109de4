"""The editor of a sweep's recipes: what it takes, what it refuses, and the form it writes to."""

from __future__ import annotations

import pytest

from agiwb.compression.sweep_config import SweepConfig
from widgets.form import FormState
from widgets.guard import STRICT
from widgets.recipes import USUAL, RecipesEditor


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> FormState:
    monkeypatch.setenv(STRICT, "1")
    return FormState(SweepConfig, {"recipes": ("baseline", "int8")})


def test_a_recipe_is_added_in_its_plain_notation_and_taken_away(form: FormState) -> None:
    editor = RecipesEditor(form)
    editor.draft.value = " prune_80 + int8 "
    editor.button.click()
    assert form.config is not None
    assert form.config.recipes == ("baseline", "int8", "prune_80+int8")
    assert editor.draft.value == ""
    first, second = editor.listed.children
    assert (first.description, second.description) == ("Remove int8", "Remove prune_80+int8")
    first.click()
    assert form.config.recipes == ("baseline", "prune_80+int8")


def test_what_is_no_recipe_is_told_as_it_is_typed(form: FormState) -> None:
    editor = RecipesEditor(form)
    editor.draft.value = "prune_80+int9"
    assert editor.button.disabled
    assert "Did you mean `int8`?" in editor.wrong.value
    editor.button.click()
    assert editor.state.recipes == ("int8",)
    editor.draft.value = "prune_80+int16x8"
    assert (editor.button.disabled, editor.wrong.value) == (False, "")


def test_the_forms_own_field_and_the_editor_show_the_same(form: FormState) -> None:
    editor = RecipesEditor(form)
    form.enter("recipes", "float16 dynamic")
    assert editor.state.recipes == ("float16", "dynamic")
    form.enter("recipes", "float16 'dynamic")
    assert editor.state.recipes == ("float16", "dynamic")


def test_every_recipe_that_is_offered_is_one() -> None:
    assert SweepConfig(recipes=USUAL).recipes == ("baseline", *USUAL)
