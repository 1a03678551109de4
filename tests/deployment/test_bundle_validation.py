"""The validation: the bundle as it is passes with the real tools, and every damage is found."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agiwb.deployment.validation import check
from agiwb.deployment.validation.check import Check, find_program
from agiwb.deployment.validation.documents import check_bill, check_documents, check_queries
from agiwb.deployment.validation.smoke import check_answers
from agiwb.deployment.validation.validate import (
    check_containers,
    check_kubernetes,
    check_prometheus,
    what_needs_the_target,
)

Validator = Callable[[Path], Iterable[Check]]

needs = {
    name: pytest.mark.skipif(find_program(name) is None, reason=f"{name} is not installed")
    for name in ("hadolint", "docker-compose", "kubernetes-validate", "promtool", "amtool")
}


def failed(checks: Iterable[Check]) -> dict[str, str]:
    return {made.subject: made.message for made in checks if made.state == "failed"}


def queries(root: Path) -> Iterable[Check]:
    return [check_queries(root)]


def bill(root: Path) -> Iterable[Check]:
    return [check_bill(root)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=mark) for name, mark in needs.items()])
def test_the_tool_is_named_with_its_version(name: str, tool_checks: list[Check]) -> None:
    checks = [made for made in tool_checks if made.tool.startswith(f"{name} ")]
    assert checks
    assert all(re.fullmatch(rf"{name} \d+\.\d+.*", made.tool) for made in checks)
    assert failed(checks) == {}


@pytest.fixture(scope="module")
def tool_checks(bundle_folder: Path) -> list[Check]:
    return validate_tools(bundle_folder)


def validate_tools(root: Path) -> list[Check]:
    return [*check_containers(root), *check_kubernetes(root), *check_prometheus(root)]


def test_documents_queries_and_bill_pass(bundle_folder: Path) -> None:
    checks = [*check_documents(bundle_folder), *queries(bundle_folder), *bill(bundle_folder)]
    assert {made.state for made in checks} == {"passed"}
    assert len(checks) > 12


DAMAGES: dict[str, tuple[Validator, str, str, str, str]] = {
    "a change of folder that hadolint warns of": (
        check_containers,
        "sagemaker/Dockerfile",
        "ARG IMAGE=",
        "RUN cd /tmp\nARG IMAGE=",
        "DL3003",
    ),
    "an unknown key of compose": (
        check_containers,
        "docker-compose.yaml",
        "    read_only: true",
        "    readonly: true",
        "readonly",
    ),
    "a port that is a word": (
        check_kubernetes,
        "kubernetes/deployment.yaml",
        "containerPort: 8501",
        "containerPort: x",
        "containerPort",
    ),
    "a misspelt probe": (
        check_kubernetes,
        "kubernetes/deployment.yaml",
        "livenessProbe:",
        "livenesProbe:",
        "livenesProbe",
    ),
    "an unknown key of Prometheus": (
        check_prometheus,
        "prometheus/prometheus.yml",
        "scrape_interval",
        "scrape_intervall",
        "scrape_intervall",
    ),
    "a broken alert": (
        check_prometheus,
        "prometheus/rules.yml",
        'up{job="agiwb"} == 0',
        'up{job="agiwb" == 0',
        "parse",
    ),
    "an alert that never fires": (
        check_prometheus,
        "prometheus/rules.yml",
        "increase(agiwb_rollbacks_total",
        "increase(agiwb_rolbacks_total",
        "",
    ),
    "an alert on drift that never fires": (
        check_prometheus,
        "prometheus/rules.yml",
        "(agiwb_monitor_alarm)",
        "(agiwb_monitor_alarms)",
        "AgiwbDrift",
    ),
    "an alert that does not say what changed": (
        check_prometheus,
        "prometheus/rules.yml",
        "agiwb_monitor_changed{",
        "agiwb_monitor_change{",
        "answers; features; 25%",
    ),
    "an unknown key of Alertmanager": (
        check_prometheus,
        "prometheus/alertmanager.yml",
        "group_wait",
        "group_wiat",
        "group_wiat",
    ),
    "alerts that reach nobody there is": (
        check_prometheus,
        "prometheus/alertmanager.yml",
        "receiver: operators",
        "receiver: operator",
        "operator",
    ),
    "an alert on the wrong threshold": (
        check_prometheus,
        "prometheus/rules.yml",
        "> 0.01",
        "> 0.51",
        "AgiwbErrors",
    ),
    "a broken query of a panel": (
        queries,
        "grafana/dashboards/agiwb.json",
        "[5m])))",
        "[5m]))",
        "Latency",
    ),
    "a dashboard without panels": (
        queries,
        "grafana/dashboards/agiwb.json",
        '"panels"',
        '"pannels"',
        "no dashboard",
    ),
    "a misspelt field of a ServiceMonitor": (
        check_documents,
        "kubernetes/servicemonitor.yaml",
        "jobLabel",
        "joblabel",
        "joblabel",
    ),
    "a rule without an expression": (
        check_documents,
        "kubernetes/prometheusrule.yaml",
        "expr:",
        "exprr:",
        "expr",
    ),
    "a resource that is not there": (
        check_documents,
        "kubernetes/kustomization.yaml",
        "hpa.yaml",
        "hap.yaml",
        "hap.yaml",
    ),
    "metrics on no port": (
        check_documents,
        "kserve/servingruntime.yaml",
        "containerPort: 8501",
        "containerPort: 85010",
        "85010",
    ),
    "more than all of the traffic": (
        check_documents,
        "kserve/inferenceservice.yaml",
        "Percent: 100",
        "Percent: 101",
        "101",
    ),
    "a route that is no path": (
        check_documents,
        "vertex/model.yaml",
        "healthRoute: /v2",
        "healthRoute: v2",
        "v2/health",
    ),
    "a liveness route forgotten": (
        check_documents,
        "azureml/environment.yaml",
        "liveness_route",
        "livenes_route",
        "liveness_route",
    ),
    "an instance type of another cloud": (
        check_documents,
        "azureml/deployment.yaml",
        "Standard_DS2_v2",
        "ml.c6i.large",
        "ml.c6i.large",
    ),
    "an unknown way to authenticate": (
        check_documents,
        "azureml/endpoint.yaml",
        "auth_mode: key",
        "auth_mode: none",
        "none",
    ),
    "a role that is no ARN": (
        check_documents,
        "sagemaker/create-model.json",
        "arn:aws:iam",
        "aws:iam",
        "ExecutionRoleArn",
    ),
    "no instances": (
        check_documents,
        "sagemaker/create-endpoint-config.json",
        '"InitialInstanceCount": 3',
        '"InitialInstanceCount": 0',
        "0 is less",
    ),
    "a package that the SBOM does not name": (
        bill,
        "packages/requirements.txt",
        "orjson==",
        "orjson2==",
        "orjson2",
    ),
    "a kind of component that CycloneDX does not know": (
        bill,
        "sbom.cdx.json",
        '"type": "library"',
        '"type": "libary"',
        "",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_found(damage: str, damaged_copy: Path) -> None:
    validator, name, before, after, said = DAMAGES[damage]
    program = {check_kubernetes: "kubernetes-validate", check_prometheus: "promtool"}.get(validator)
    if "alertmanager" in name:
        program = "amtool"
    if validator is check_containers:
        program = "docker-compose" if "compose" in name else "hadolint"
    if program and find_program(program) is None:
        pytest.skip(f"{program} is not installed")
    path = damaged_copy / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))

    problems = failed(validator(damaged_copy))

    assert problems
    assert said in " ".join([*problems, *problems.values()])


def test_a_missing_tool_is_never_a_pass(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "find_program", lambda _name: None)
    checks = validate_tools(bundle_folder)
    assert {made.state for made in checks} == {"not run"}
    assert all(made.message.startswith("install ") for made in checks)


def test_a_missing_library_is_never_a_pass(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jsonschema", "promql_parser", "cyclonedx.schema"):
        monkeypatch.setitem(sys.modules, name, None)
    checks = [*check_documents(bundle_folder), *queries(bundle_folder), *bill(bundle_folder)]
    assert {made.state for made in checks} == {"not run"}


# ---- the bundle's own smoke test, on the bundle's own server


@pytest.mark.slow
def test_the_bundled_server_gives_the_golden_answers(bundle_folder: Path) -> None:
    made = check_answers(bundle_folder)
    assert made.state == "passed", made.message


@pytest.mark.slow
def test_one_wrong_answer_fails_the_smoke_test(damaged_copy: Path) -> None:
    path = damaged_copy / "golden.json"
    golden = json.loads(path.read_bytes())
    golden["requests"][1]["predictions"][0][0] += 0.01
    path.write_text(json.dumps(golden))
    made = check_answers(damaged_copy)
    assert made.state == "failed"
    assert re.search(r"FAIL \S+/versions/2:predict: the answers differ by 0\.01", made.message)
    assert "1 of 2 requests" in made.message


@pytest.mark.slow
def test_a_package_that_is_not_pinned_cannot_be_imported(damaged_copy: Path) -> None:
    path = damaged_copy / "packages/requirements.txt"
    path.write_text(re.sub(r"orjson==.*\n", "", path.read_text()))
    made = check_answers(damaged_copy)
    assert made.state == "failed"
    assert "orjson is not among the bundle's packages" in made.message


@pytest.mark.slow
def test_a_damaged_model_fails_with_the_servers_words(damaged_copy: Path) -> None:
    for path in damaged_copy.glob("models/*/*/model.onnx"):
        path.write_bytes(b"no model")
    assert check_answers(damaged_copy).state == "failed"


def test_what_needs_a_cloud_is_said_not_to_be_run(bundle_folder: Path) -> None:
    said = list(what_needs_the_target())
    assert {made.state for made in said} == {"not run"}
    assert "kubectl" in {made.tool for made in said}
