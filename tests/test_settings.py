from __future__ import annotations

from pathlib import Path

import pytest

from agiwb.runs.object_store import open_object_store
from agiwb.settings import Settings


def test_the_workspace_is_in_the_root_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("AGIWB_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert Settings().workspace_path == tmp_path / "workspace"


def test_the_environment_names_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "elsewhere"))
    assert Settings().workspace_path == tmp_path / "elsewhere"


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGIWB_ARTIFACTS", " ")
    assert open_object_store() is None
