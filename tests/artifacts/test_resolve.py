"""What a reference to an artifact finds, and the data set that belongs to a model."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from agiwb.artifacts.manifest import Artifact, Format, check_served_name, write_artifact
from agiwb.artifacts.resolve import artifact_beside, dataset_for, resolve_artifact
from agiwb.artifacts.signature import Signature
from agiwb.errors import ConfigError, InputError, NotFoundError
from agiwb.runs.store import open_store


def make(folder: Path, wanted: Format) -> Path:
    folder.mkdir()
    manifest = Artifact(
        format=wanted,
        name="mine",
        dataset=None,
        classes=("a", "b"),
        signature=Signature(inputs=(), outputs=()),
        source_sha256="",
        files=(),
    )
    write_artifact(folder, manifest)
    return folder


@pytest.mark.parametrize("made", get_args(Format))
def test_a_folder_is_taken_only_in_its_own_format(
    tmp_path: Path, workspace: Path, made: Format
) -> None:
    folder, store = make(tmp_path / "artifact", made), open_store()
    assert resolve_artifact(str(folder), made, store).artifact.format == made
    other: Format = "onnx" if made != "onnx" else "litert"
    why = rf"is a {made} artifact, and {other} is wanted\. Give `--format {made}`"
    with pytest.raises(NotFoundError, match=why):
        resolve_artifact(str(folder), other, store)


def test_a_folder_stands_for_the_artifacts_that_its_run_wrote_beside_it(
    tmp_path: Path, workspace: Path
) -> None:
    keras, onnx = make(tmp_path / "keras", "keras"), make(tmp_path / "onnx", "onnx")
    found = resolve_artifact(str(keras), "onnx", open_store())
    assert (found.folder, found.artifact.format) == (onnx.resolve(), "onnx")
    assert artifact_beside(keras, "litert") is None
    alone = make(tmp_path / "mine", "keras")
    assert artifact_beside(alone, "onnx") is None


def test_the_data_set_given_goes_before_the_one_known() -> None:
    assert dataset_for("mnist", "digits", "it") == "mnist"
    assert dataset_for(None, "digits", "it") == "digits"
    with pytest.raises(ConfigError, match=r"which data the model was .* Give it as `dataset`"):
        dataset_for(None, None, "the model")


@pytest.mark.parametrize("name", ["../../etc", "..", "a/b", "", "a b", "a\n"])
def test_a_name_that_is_no_folder_is_not_served(name: str) -> None:
    assert check_served_name("digits-mlp.2") == "digits-mlp.2"
    with pytest.raises(InputError, match="Give a `model_name`"):
        check_served_name(name)
