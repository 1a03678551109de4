"""A real bundle of two small models, made once, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agiwb.deployment.bundle import BundleConfig, BundleRecord, bundle
from tests.deployment.digits_artifact import write_digits_artifact


@pytest.fixture(scope="session")
def bundled(empty_history: Path, tmp_path_factory: pytest.TempPathFactory) -> BundleRecord:
    """The record of a bundle of two versions."""
    place = tmp_path_factory.mktemp("bundle")
    models = [write_digits_artifact(place / str(seed), seed) for seed in (1, 2)]
    workspace = place / "workspace"
    workspace.mkdir()
    shutil.copy(empty_history, workspace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(workspace))
        return bundle(
            BundleConfig(
                model=str(models[0]),
                later=(str(models[1]),),
                samples=4,
                replicas=3,
                check_hours=1,  # the tests of the rules go through them minute by minute
                webhook="https://alerts.example/hook?a=1&b=2",
            )
        )


@pytest.fixture(scope="session")
def bundle_folder(bundled: BundleRecord) -> Path:
    """Its folder, to be left as it is."""
    return bundled.run.folder


@pytest.fixture
def damaged_copy(bundle_folder: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to damage."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))
