"""Every file of a bundle but the models: filled templates, and what code makes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import agiwb
from agiwb.artifacts.manifest import PARITY_FILE
from agiwb.deployment.capacity import Capacity
from agiwb.deployment.dashboard import dashboard
from agiwb.deployment.rendering import render
from agiwb.deployment.requirements import (
    Pin,
    download_wheels,
    requirements_text,
    server_pins,
)
from agiwb.deployment.sbom import bill_of_materials
from agiwb.deployment.versions import TENSORFLOW, BundledVersion, write_archive
from agiwb.deployment.wheel import build_wheel
from agiwb.runs.record import RunInfo

PACKAGES = "packages"

_SHORTEST_NAME, _LONGEST_NAME = 3, 32

_ALWAYS = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yaml",
    "models.config",
    "smoke_test.py",
    "make_keys.py",
    "README.md",
    "MODEL_CARD.md",
    "prometheus/prometheus.yml",
    "prometheus/rules.yml",
    "prometheus/monitor_targets.yml",
    "prometheus/alertmanager.yml",
    "kubernetes/namespace.yaml",
    "kubernetes/configmap.yaml",
    "kubernetes/deployment.yaml",
    "kubernetes/service.yaml",
    "kubernetes/ingress.yaml",
    "kubernetes/hpa.yaml",
    "kubernetes/pdb.yaml",
    "kubernetes/networkpolicy.yaml",
    "kubernetes/servicemonitor.yaml",
    "kubernetes/kustomization.yaml",
    "kserve/servingruntime.yaml",
    "kserve/inferenceservice.yaml",
    "sagemaker/Dockerfile",
    "sagemaker/serve",
    "sagemaker/create-model.json",
    "sagemaker/create-endpoint-config.json",
    "vertex/model.yaml",
    "azureml/Dockerfile",
    "azureml/environment.yaml",
    "azureml/endpoint.yaml",
    "azureml/deployment.yaml",
)


@dataclass(frozen=True)
class Plan:
    """What the templates are filled with.

    ``metrics`` are what training measured; ``alerts`` the thresholds of the alert rules, and
    ``webhook`` the URL that alerts are posted to, if any.
    """

    name: str
    image: str
    capacity: Capacity
    versions: tuple[BundledVersion, ...]
    run: RunInfo
    metrics: Mapping[str, float]
    alerts: Mapping[str, float]
    webhook: str | None

    @property
    def served(self) -> tuple[BundledVersion, ...]:
        """The versions that our server serves."""
        return tuple(version for version in self.versions if version.format != "saved_model")

    @property
    def tensorflow(self) -> tuple[BundledVersion, ...]:
        """The versions that TensorFlow Serving serves."""
        return tuple(version for version in self.versions if version.format == "saved_model")


def object_name(name: str) -> str:
    """Return ``name`` as every target spells names: 3 to 32 of a-z, 0-9 and -, a letter first.

    Kubernetes' services want a label of RFC 1035, Azure's endpoints no more than 32 characters.
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(label) < _SHORTEST_NAME or not label[0].isalpha():
        label = f"model-{label}"
    return label[:_LONGEST_NAME].strip("-")


def write_files(plan: Plan, root: Path, *, wheels: bool) -> None:
    """Write all but the models and their golden requests into ``root``.

    Raises:
        WorkError: A package the server needs is not installed, or its wheel cannot be had.
    """
    pins, wheel = _write_packages(plan, root / PACKAGES, wheels=wheels)
    models_config = render("models.config", name=plan.name)
    values = _values(plan, pins) | {"wheel": wheel.name, "models_config": models_config}
    for name in _ALWAYS:
        _write(root / name, render(name, **values))
    rules = yaml.safe_load((root / "prometheus/rules.yml").read_text("utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    tests = render("prometheus/rules_test.yml", **values, alerts=alerts)
    _write(root / "prometheus/rules_test.yml", tests)
    _write(root / "kubernetes/prometheusrule.yaml", _prometheus_rule(values["slug"], rules))
    provisioning = root / "grafana/provisioning"
    _write(provisioning / "datasources/prometheus.yaml", render("grafana/datasource.yaml"))
    _write(provisioning / "dashboards/agiwb.yaml", render("grafana/dashboards.yaml"))
    _write_json(root / "grafana/dashboards/agiwb.json", dashboard(plan.name))
    _write_json(root / "sbom.cdx.json", bill_of_materials(pins))
    write_archive(plan.served, plan.name, root / "sagemaker/model.tar.gz")
    if plan.tensorflow:
        _write(root / "Dockerfile.tfserving", render("Dockerfile.tfserving", **values))
        _write(root / TENSORFLOW / "models.config", models_config)
        for name in ("monitoring.config", "batching.config"):
            _write(root / TENSORFLOW / name, render(name))
        write_archive(plan.tensorflow, plan.name, root / "sagemaker/tensorflow/model.tar.gz")


def _write_packages(plan: Plan, folder: Path, *, wheels: bool) -> tuple[tuple[Pin, ...], Path]:
    """Return the pins and agiwb's wheel, both written into ``folder``."""
    folder.mkdir(parents=True)
    pins = server_pins(version.format for version in plan.served)
    if wheels:
        pins = download_wheels(pins, folder)
    _write(folder / "requirements.txt", requirements_text(pins))
    return pins, build_wheel(folder, pins)


def _values(plan: Plan, pins: Sequence[Pin]) -> dict[str, Any]:
    hashed = all(pin.sha256 for pin in pins)
    first = plan.versions[0].source.artifact
    provenance = plan.run.provenance
    return {
        "name": plan.name,
        "slug": object_name(plan.name),
        "image": plan.image,
        "capacity": plan.capacity,
        "replicas": plan.capacity.replicas,
        "agiwb_version": agiwb.__version__,
        "run_id": plan.run.id,
        "made_at": plan.run.started_at.strftime("%Y-%m-%d"),
        "hashed": hashed,
        "install_flags": f" --no-index --find-links=/{PACKAGES} --require-hashes" if hashed else "",
        "tensorflow": bool(plan.tensorflow),
        "versions": [_describe(version) for version in plan.versions],
        "dataset": first.dataset,
        "classes": first.classes,
        "signature": first.signature,
        "metrics": plan.metrics,
        "webhook": plan.webhook,
        "git_commit": provenance.git_commit,
        "parents": sorted(set(provenance.parents.values())),
        "packages": provenance.packages,
        **plan.alerts,
    }


def _describe(version: BundledVersion) -> dict[str, Any]:
    """Return one version for the README and the model card; "?" for what was not measured."""
    artifact = version.source.artifact
    report = version.path / PARITY_FILE
    parity = json.loads(report.read_bytes()) if report.is_file() else {}
    return {
        "number": version.number,
        "format": version.format,
        "folder": version.folder,
        "size_bytes": artifact.size_bytes,
        "source_sha256": artifact.source_sha256,
        **{
            name: "?" if parity.get(name) is None else f"{parity[name]:.3g}"
            for name in ("max_abs_error", "test_score")
        },
    }


def _prometheus_rule(slug: str, rules: dict[str, Any]) -> str:
    labels = {"app.kubernetes.io/name": "agiwb", "app.kubernetes.io/instance": slug}
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": slug, "labels": labels},
        "spec": rules,
    }
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    if text.startswith("#!"):
        path.chmod(0o755)


def _write_json(path: Path, document: Any) -> None:
    _write(path, json.dumps(document, indent=2) + "\n")
