"""The bundle step: what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement

from agiwb.artifacts.manifest import read_artifact, write_artifact
from agiwb.commands.bundle import run as run_command
from agiwb.datasets.registry import load_dataset
from agiwb.deployment.bundle import BundleConfig, BundleRecord, bundle
from agiwb.deployment.files import object_name
from agiwb.deployment.rendering import render
from agiwb.errors import ConfigError, InputError, NotFoundError
from agiwb.runs.store import open_store
from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.trust.encryption import encrypt_folder
from agiwb.trust.key_files import make_encryption_key, make_signing_keys
from agiwb.trust.signing import sign_folder, verify_folder
from tests.deployment.digits_artifact import write_digits_artifact


def test_each_artifact_is_a_version_that_its_manifest_vouches_for(bundled: BundleRecord) -> None:
    assert [(made.number, made.format) for made in bundled.versions] == [(1, "onnx"), (2, "onnx")]
    for made in bundled.versions:
        assert read_artifact(bundled.file(made.folder)).name == "Digits_small"
    assert bundled.served_as == "Digits_small"
    assert bundled.problems == ()


def test_golden_answers_are_the_files_own_for_real_samples(bundled: BundleRecord) -> None:
    golden = json.loads(bundled.file("golden.json").read_bytes())
    assert golden["model"] == "Digits_small"
    validation = load_dataset("digits").validation.features
    for request in golden["requests"]:
        samples = np.array(request["instances"], np.float32)
        assert len(samples) == 4
        assert all((validation == sample).all(axis=(1, 2)).any() for sample in samples)
        folder = bundled.file(f"models/Digits_small/{request['version']}")
        answers = OnnxRuntime(folder / "model.onnx").run({"features": samples})["probabilities"]
        np.testing.assert_allclose(answers, request["predictions"], atol=1e-6)
    first, second = (request["predictions"] for request in golden["requests"])
    assert np.abs(np.array(first) - second).max() > golden["tolerance"]


def test_names_suit_the_targets(bundle_folder: Path) -> None:
    deployment = yaml.safe_load((bundle_folder / "kubernetes/deployment.yaml").read_text())
    assert deployment["metadata"]["name"] == "digits-small"
    vertex = yaml.safe_load((bundle_folder / "vertex/model.yaml").read_text())
    assert vertex["containerSpec"]["predictRoute"] == "/v1/models/Digits_small:predict"
    assert object_name("A.b__C-") == "a-b-c"
    assert object_name("3") == "model-3"
    assert object_name("9lives") == "model-9lives"
    assert object_name(f"{'x' * 31}_y") == "x" * 31


def test_every_file_is_filled_in_and_parses(bundle_folder: Path) -> None:
    files = [path for path in bundle_folder.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix in {".yaml", ".yml"}:
            assert list(yaml.safe_load_all(path.read_text())), path
        elif path.suffix == ".json":
            assert json.loads(path.read_bytes()), path
        elif path.suffix in {".md", ".py", ".config"} or path.name.startswith("Dockerfile"):
            assert "<<" not in path.read_text(), path
            assert "<%" not in path.read_text(), path
    assert len(files) > 30


def test_the_server_stays_slim(bundle_folder: Path) -> None:
    lines = (bundle_folder / "packages/requirements.txt").read_text().splitlines()[1:]
    pins = [Requirement(line) for line in lines]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    names = {pin.name for pin in pins}
    assert {"onnxruntime", "orjson", "uvloop", "cffi"} <= names  # cffi: cryptography needs it
    assert not {"tensorflow", "mlflow", "pandas", "ai-edge-litert"} & names


def test_the_kubernetes_alerts_are_the_tested_ones(bundle_folder: Path) -> None:
    rules = yaml.safe_load((bundle_folder / "prometheus/rules.yml").read_text())
    resource = yaml.safe_load((bundle_folder / "kubernetes/prometheusrule.yaml").read_text())
    assert resource["spec"] == rules


def test_alerts_reach_the_webhook_or_nobody(bundled: BundleRecord, bundle_folder: Path) -> None:
    path = bundle_folder / "prometheus/alertmanager.yml"
    (receiver,) = yaml.safe_load(path.read_text())["receivers"]
    (told,) = receiver["webhook_configs"]
    assert told == {"url": bundled.config.webhook, "send_resolved": True}
    nobody = yaml.safe_load(render("prometheus/alertmanager.yml", webhook=None))
    assert nobody["receivers"] == [{"name": nobody["route"]["receiver"]}]
    with pytest.raises(ConfigError, match="webhook"):
        BundleConfig(webhook="alerts.example")


def test_prometheus_reads_targets_and_rules_of_the_bundle(bundle_folder: Path) -> None:
    folder = bundle_folder / "prometheus"
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    (targets,) = jobs["agiwb-monitor"]["file_sd_configs"][0]["files"]
    assert yaml.safe_load((folder / targets).read_text()) == []
    (place,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    compose = yaml.safe_load((bundle_folder / "docker-compose.yaml").read_text())
    assert place.split(":")[0] in compose["services"]


def test_sagemaker_finds_numbered_folders(bundle_folder: Path) -> None:
    with tarfile.open(bundle_folder / "sagemaker/model.tar.gz") as archive:
        names = set(archive.getnames())
        model = archive.extractfile("Digits_small/1/model.onnx")
        assert model is not None
        assert model.read() == (bundle_folder / "models/Digits_small/1/model.onnx").read_bytes()
    assert {"Digits_small/1/artifact.json", "Digits_small/2/model.onnx"} <= names


def test_the_smoke_test_runs_on_the_standard_library_alone(bundle_folder: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            bundle_folder / "smoke_test.py",
            "--url",
            "http://127.0.0.1:9",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "0 of 2 requests were answered" in done.stdout
    assert done.stderr == ""


def test_the_model_card_says_what_the_model_takes(bundle_folder: Path) -> None:
    card = (bundle_folder / "MODEL_CARD.md").read_text()
    assert "| input | `features` | float32 | (?, 8, 8) |" in card
    assert "data set `digits`" in card


def test_keys_are_made_once_and_the_server_knows_them(damaged_copy: Path) -> None:
    from agiwb.serving.access.key_file import read_keys

    words = [sys.executable, str(damaged_copy / "make_keys.py")]
    subprocess.run(words, check=True)
    secrets = damaged_copy / "secrets"
    stored = {key.name: key for key in read_keys(secrets / "api_keys")}
    assert stored["client"].scopes == ("predict",)
    assert (secrets / "metrics_key").read_text().endswith(stored["metrics"].last_four)
    assert subprocess.run(words, check=False, capture_output=True).returncode == 1


# ---- what is refused


def test_a_saved_model_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="no TensorFlow"):
        BundleConfig(formats=("saved_model",))


def test_a_model_that_is_not_there(workspace: Path) -> None:
    with pytest.raises(NotFoundError, match="no model 'nobody'"):
        bundle(BundleConfig(model="nobody"))
    assert open_store().summaries() == []


def test_models_of_other_classes_are_no_versions(workspace: Path, tmp_path: Path) -> None:
    first = write_digits_artifact(tmp_path / "a")
    other = write_digits_artifact(tmp_path / "b")
    renamed = read_artifact(other).model_copy(update={"classes": ("a", "b")})
    write_artifact(other, renamed)
    with pytest.raises(InputError, match="is no version of the model"):
        bundle(BundleConfig(model=str(first), later=(str(other),)))


def test_the_command_takes_the_model_as_its_first_word(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_digits_artifact(tmp_path / "a")
    assert run_command([str(folder), "--samples", "1"], "") == 0
    assert "not checked: `--validate` does" in capsys.readouterr().out


def test_what_is_encrypted_is_not_bundled_in_plain(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_encryption_key(tmp_path / "key")
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY_FILE", str(key))
    sealed = encrypt_folder(write_digits_artifact(tmp_path / "plain"), tmp_path / "sealed")
    with pytest.raises(InputError, match=r"sealed is encrypted, and a bundle would hold it plain"):
        bundle(BundleConfig(model=str(sealed)))
    assert open_store().summaries() == []


def test_a_signed_artifact_keeps_its_signature_in_the_bundle(
    tmp_path: Path, workspace: Path
) -> None:
    private, public = make_signing_keys(tmp_path / "own")
    folder = write_digits_artifact(tmp_path / "signed")
    sign_folder(folder, private)
    record = bundle(BundleConfig(model=str(folder)))
    verify_folder(record.file(record.versions[0].folder), public)
