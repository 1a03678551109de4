from __future__ import annotations

import pytest

from agiwb import errors
from agiwb.errors import AgiwbError, did_you_mean


def test_the_nearest_choice_is_offered() -> None:
    assert did_you_mean("epoch", ["epochs", "dropout"]) == "Did you mean `epochs`?"


def test_without_a_near_choice_all_are_listed() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "Choose from: a, b."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError, 2),
        (errors.DatasetError, 2),
        (errors.NotFoundError, 2),
        (errors.WorkspaceError, 2),
        (errors.NotebookError, 1),
        (errors.ServingError, 1),
        (errors.CancelledError, 130),
    ],
)
def test_each_error_has_its_exit_code(error: type[AgiwbError], code: int) -> None:
    assert error("what", "fix").exit_code == code
    assert str(error("what.", "fix.")) == "what. fix."
