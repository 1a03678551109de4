"""Three versions of a model, registered once for the tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.maintenance.versions import MODEL, register_shares


@pytest.fixture(scope="session")
def registered(empty_history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with four versions: 1 is bad, 2 to 4 are good and nearly alike.

    Version 4 fails on some images, which are not in the data.
    """
    path = tmp_path_factory.mktemp("registered")
    shutil.copy(empty_history, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(path))
        register_shares(path / "files", 0.03, 1.0, 0.95)
        register_shares(path / "files", 0.98, breakable=True)
    return path


@pytest.fixture
def undecided(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That workspace, in which nothing was decided and served yet."""
    monkeypatch.setenv("AGIWB_WORKSPACE", str(registered))
    yield registered
    shutil.rmtree(registered / "maintenance", ignore_errors=True)
    shutil.rmtree(registered / "serving" / MODEL, ignore_errors=True)
    shutil.rmtree(registered / "predictions", ignore_errors=True)
