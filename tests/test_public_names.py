"""The public surface: one sorted list, every name real, and nothing heavy on the way in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agiwb

HEAVY = {
    "tensorflow",
    "keras",
    "mlflow",
    "apache_beam",
    "pandas",
    "matplotlib",
    "papermill",
    "optuna",
    "shap",
    "distributed",
    "fsspec",
    "sklearn",
}


def imported_by(code: str) -> set[str]:
    """Return the top-level modules loaded by a fresh interpreter that runs ``code``."""
    script = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.splitlines()[-1].split())


def test_all_is_sorted() -> None:
    assert agiwb.__all__ == sorted(agiwb.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", agiwb.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(agiwb, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        agiwb.trian  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import agiwb",
        "from agiwb.cli import main; main(['--help'])",
        *(
            f"from agiwb.cli import main\ntry: main(['{step}', '--help'])\nexcept SystemExit: pass"
            for step in (
                "train",
                "search",
                "range_test",
                "explain",
                "sweep",
                "convert",
                "serve",
                "evaluate",
                "monitor",
                "run",
                "demo",
                "datasets",
                "jobs",
            )
        ),
    ],
)
def test_asking_for_help_imports_nothing_heavy(code: str) -> None:
    assert not imported_by(code) & HEAVY


def test_the_overview_does_not_even_import_pydantic() -> None:
    assert "pydantic" not in imported_by("from agiwb.cli import main; main(['--help'])")
