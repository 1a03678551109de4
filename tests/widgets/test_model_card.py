"""The model card without a browser: its state, and what its view shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb import TrainRecord
from widgets.guard import STRICT
from widgets.model_card import ModelCard, ModelCardState

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


def test_the_models_are_listed_newest_first_and_the_newest_is_shown(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    state = ModelCardState()
    state.refresh()
    ids = [run_id for _, run_id in state.models]
    assert {digits_run.run.id, digits_cnn_run.run.id} <= set(ids)
    assert state.selected == ids[0]
    state.selected = digits_run.run.id
    assert (
        f"accuracy on 360 test examples is {digits_run.metrics['test_accuracy']:.1%}" in state.page
    )


def test_choosing_in_the_menu_changes_the_card(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    card = ModelCard()
    card.menu.value = digits_run.run.id
    assert "is a mlp" in card.card.value
    card.menu.value = digits_cnn_run.run.id
    assert "is a cnn" in card.card.value


def test_an_empty_workspace_says_so(workspace: Path) -> None:
    assert "No model has been trained" in ModelCard().card.value


def test_what_goes_wrong_is_shown(digits_run: TrainRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STRICT)
    card = ModelCard()
    card.state.models = [*card.state.models, ("gone", "0" * 32)]
    card.state.selected = "0" * 32
    assert 'role="alert"' in card.problem.value
    assert "has no run" in card.problem.value
