"""How much a deployment asks of a cluster: by rule of thumb, or by a plan."""

from __future__ import annotations

from dataclasses import dataclass

from agiwb.errors import InputError
from agiwb.planning.plan import PlanRecord
from agiwb.runs.store import RunStore

_BUSIEST, _SLACK = 95, 5
"""Percent: of a core at most, and more than the plan predicts before replicas are added."""


@dataclass(frozen=True)
class Capacity:
    """Replicas, and what each asks for.

    Attributes:
        replicas: Fewest, and what the autoscaler begins with.
        max_replicas: What it may go to.
        workers: Processes of one replica.
        cpu: Kubernetes' request of processor time.
        memory_mib: The request; the limit is ``memory_limit_mib``.
        memory_limit_mib: Beyond it a replica is killed.
        utilisation: Percent of ``cpu`` at which the autoscaler adds replicas.
        plan: The run of the plan that says so; "" for a rule of thumb.
    """

    replicas: int
    max_replicas: int
    workers: int = 1
    cpu: str = "500m"
    memory_mib: int = 256
    memory_limit_mib: int = 1024
    utilisation: int = 70
    plan: str = ""


def capacity_of(replicas: int, plan: PlanRecord | None) -> Capacity:
    """Return the capacity of a plan, or else of ``replicas`` by rule of thumb."""
    if plan is None:
        return Capacity(replicas, 5 * replicas)
    sizing = plan.sizing
    return Capacity(
        replicas=sizing.chosen.replicas,
        max_replicas=sizing.max_replicas,
        workers=plan.measured.workers,
        cpu=str(sizing.cpu_request),
        memory_mib=sizing.memory_request_mib,
        memory_limit_mib=2 * sizing.memory_request_mib,
        utilisation=min(_BUSIEST, round(100 * sizing.cores_busy / sizing.cores) + _SLACK),
        plan=plan.run.id,
    )


def find_plan(reference: str, fingerprints: frozenset[str], store: RunStore) -> PlanRecord:
    """Return the plan of a run, which must be of one of the artifacts.

    Raises:
        NotFoundError: There is no such run.
        InputError: It is no plan, or of another model.
    """
    record = store.get(reference)
    if not isinstance(record, PlanRecord):
        raise InputError(
            f"The run {reference} is a {record.run.step}, not a plan.",
            "Make one with `agiwb plan --rps N --p99-ms MS --model MODEL`.",
        )
    if record.fingerprint not in fingerprints:
        raise InputError(
            f"The plan {reference} was made for another model or format.",
            "Plan for what is bundled: `agiwb plan --rps N --p99-ms MS --model MODEL`.",
        )
    return record
