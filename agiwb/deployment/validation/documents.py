"""What no tool of their own checks offline: objects of CRDs and clouds, queries, the SBOM."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from agiwb.deployment.validation.check import Check, not_run, verdict

_SCHEMAS = Path(__file__).with_name("schemas.json")
_CHECKED = {
    "kubernetes/servicemonitor.yaml": "ServiceMonitor",
    "kubernetes/prometheusrule.yaml": "PrometheusRule",
    "kubernetes/kustomization.yaml": "Kustomization",
    "kserve/servingruntime.yaml": "ServingRuntime",
    "kserve/inferenceservice.yaml": "InferenceService",
    "vertex/model.yaml": "VertexModel",
    "azureml/environment.yaml": "AzureEnvironment",
    "azureml/endpoint.yaml": "AzureEndpoint",
    "azureml/deployment.yaml": "AzureDeployment",
    "sagemaker/create-model.json": "SageMakerModel",
    "sagemaker/create-endpoint-config.json": "SageMakerEndpointConfig",
    "grafana/provisioning/datasources/prometheus.yaml": "GrafanaDatasources",
    "grafana/provisioning/dashboards/agiwb.yaml": "GrafanaDashboardProviders",
}
_VARIABLES = {"$model": ".*"}


def check_documents(root: Path) -> Iterator[Check]:
    """Yield a check of each object that only its target knows, against ``schemas.json``."""
    for name, schema in _CHECKED.items():
        subject = f"{name} (fields of {schema} that agiwb writes)"
        try:
            import jsonschema  # type: ignore[import-untyped]
        except ImportError:
            yield not_run(subject, "jsonschema", "install jsonschema (PyPI)")
            continue
        tool = _tool("jsonschema")
        try:
            document = yaml.safe_load((root / name).read_text("utf-8"))
        except (OSError, yaml.YAMLError) as error:
            yield verdict(subject, tool, [str(error)])
            continue
        validator = jsonschema.Draft202012Validator(
            {"$ref": f"#/$defs/{schema}", "$defs": _schemas()}
        )
        problems = [
            f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)
        ]
        if schema == "Kustomization" and not problems:
            problems = _missing_resources(root / name, document)
        yield verdict(subject, tool, problems)


def check_queries(root: Path) -> Check:
    """Return a check of every query on the dashboard, by Prometheus' own grammar."""
    path = root / "grafana/dashboards/agiwb.json"
    subject = "grafana/dashboards/agiwb.json (queries)"
    try:
        import promql_parser
    except ImportError:
        return not_run(subject, "promql-parser", "install promql-parser (PyPI)")
    tool = _tool("promql-parser")
    try:
        panels = json.loads(path.read_bytes())["panels"]
        queries = [
            (panel["title"], target["expr"]) for panel in panels for target in panel["targets"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return verdict(subject, tool, [f"it is no dashboard: {error!r}"])
    problems = [] if queries else ["it asks nothing"]
    for title, query in queries:
        plain = query
        for variable, value in _VARIABLES.items():
            plain = plain.replace(variable, value)
        try:
            promql_parser.parse(plain)
        except ValueError as error:
            problems.append(f"{title}: {error}")
    return verdict(subject, tool, problems)


def check_bill(root: Path) -> Check:
    """Return a check of the SBOM: CycloneDX's schema, and that it names what is installed."""
    subject, path = "sbom.cdx.json", root / "sbom.cdx.json"
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        return not_run(subject, "cyclonedx-python-lib", "install cyclonedx-bom (PyPI)")
    tool = _tool("cyclonedx-python-lib")
    try:
        text = path.read_text("utf-8")
        listed = {f"{part['name']}=={part['version']}" for part in json.loads(text)["components"]}
        lines = (root / "packages/requirements.txt").read_text("utf-8").splitlines()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return verdict(subject, tool, [f"it is no bill of materials: {error!r}"])
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    problems = [str(found).partition("\n")[0]] if found else []
    pinned = {line.split()[0] for line in lines if line and not line.startswith("#")}
    if pinned != listed:
        names = ", ".join(sorted(pinned ^ listed))
        problems.append(f"it and packages/requirements.txt differ in {names}")
    return verdict(subject, tool, problems)


def _missing_resources(path: Path, document: dict[str, Any]) -> list[str]:
    return [
        f"resources: there is no {name}"
        for name in document["resources"]
        if not (path.parent / name).is_file()
    ]


@functools.cache
def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads(_SCHEMAS.read_bytes())["$defs"]
    return schemas


def _tool(distribution: str) -> str:
    return f"{distribution} {importlib.metadata.version(distribution)}"
