"""The pins, the project and conda's environment say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(file: str) -> dict[str, str]:
    """Return name and version of each pinned package."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_conda_installs_the_same_pins_and_python() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = environment["dependencies"]
    assert packages == ["python=3.11", "pip"]
    assert pip["pip"] == ["-r requirements.txt", "-e ."]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.12"


@pytest.mark.parametrize("requirement", PROJECT["project"]["dependencies"])
def test_every_dependency_is_pinned(requirement: str) -> None:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    assert normalised(name.group()) in {normalised(pin) for pin in pins("requirements.txt")}


def test_the_two_files_never_pin_differently() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    shared = runtime.keys() & development.keys()
    assert shared
    assert {name: runtime[name] for name in shared} == {n: development[n] for n in shared}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_no_index_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert "--index" not in text
