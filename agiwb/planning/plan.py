"""The plan step: how many servers a load needs, and what they cost."""

from __future__ import annotations

import platform

from pydantic import Field

from agiwb.artifacts.any_format import OneArtifactConfig, with_own_format
from agiwb.artifacts.manifest import StandaloneFormat
from agiwb.artifacts.resolve import resolve_artifact
from agiwb.errors import InputError
from agiwb.planning.measuring import Measurement, measure
from agiwb.planning.payload import Encoding
from agiwb.planning.sizing import Sizing, size, unmerged_wait_ms
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore

_SLOW = 1.05
_COLD = 0.05
"""Multiple of the processor time from which on it is said."""
_DISTURBED = 0.1
"""Share of the processors that others may use before it is said."""


class PlanConfig(OneArtifactConfig):
    """The load, what it may take, and who answers it."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, or an artifact's folder."
    )
    format: StandaloneFormat = Field("onnx", description="Format of the artifact.")
    rps: float = Field(gt=0, le=1e8, description="Requests per second, at the busiest.")
    p99_ms: float = Field(
        gt=0, le=600_000, description="Milliseconds that 99 of 100 requests may take."
    )
    rows: int = Field(1, ge=1, le=10_000, description="Examples of one request.")
    payload: Encoding = Field(
        "json", description="How inputs travel: TensorFlow Serving's JSON, or Open Inference's."
    )
    workers_per_replica: int = Field(
        1, ge=1, le=256, description="Processes of one server, of a core each."
    )
    log_predictions: bool = Field(True, description="Keep each prediction for monitoring.")
    headroom: float = Field(
        0.3, ge=0.05, le=0.95, description="Share of the capacity that is kept free."
    )
    seconds: float = Field(1.5, ge=0.2, le=600, description="Seconds of each of six loads.")


class PlanRecord(Record):
    """What was measured, what it leads to, and what that rests on, in words."""

    config: PlanConfig
    fingerprint: str
    """Of the artifact."""
    served_as: str
    measured: Measurement
    sizing: Sizing
    assumptions: tuple[str, ...]


def _inputs(config: PlanConfig, store: RunStore) -> dict[str, Input]:
    source = resolve_artifact(config.model, config.format, store)
    if source.encrypted is not None:
        raise InputError(
            f"The artifact {source.encrypted} is encrypted, and is measured in the clear.",
            "Plan for what `agiwb trust decrypt` makes of it.",
        )
    return {"model": Input(source.fingerprint, source.run_id)}


@step("plan", inputs=_inputs, reusable=False, settle=with_own_format)
def plan(config: PlanConfig, context: Context) -> PlanRecord:
    """Return how many replicas, cores and bytes a load needs, from what it costs on this machine.

    A server of the artifact is started and loaded for some seconds; a queueing model does the rest.

    Raises:
        NotFoundError: There is no such artifact.
        WorkError: No number of servers keeps to ``p99_ms``; or the server did not answer.
    """
    source = resolve_artifact(config.model, config.format, context.store)
    context.confirm("model", source.fingerprint)
    context.say("Measuring a server on this machine; whatever else runs here counts, too.")
    measured = measure(
        source,
        workers=config.workers_per_replica,
        rows=config.rows,
        encoding=config.payload,
        logs=config.log_predictions,
        seconds=config.seconds,
        progress=context.progress,
    )
    sizing = size(
        measured,
        requests_per_s=config.rps,
        p99_ms=config.p99_ms,
        rows=config.rows,
        headroom=config.headroom,
        progress=context.progress,
    )
    return PlanRecord(
        run=context.run,
        config=config,
        metrics=_metrics(measured, sizing, config.rows),
        fingerprint=source.fingerprint,
        served_as=config.model if config.model != "latest" else source.artifact.name,
        measured=measured,
        sizing=sizing,
        assumptions=_assumptions(config, measured, sizing),
    )


def _metrics(measured: Measurement, sizing: Sizing, rows: int) -> dict[str, float]:
    chosen = sizing.chosen
    return {
        "replicas": chosen.replicas,
        "cores": sizing.cores,
        "cores_busy": sizing.cores_busy,
        "load": chosen.load,
        "p50_ms": chosen.p50_ms,
        "p99_ms": chosen.p99_ms,
        "requests_per_run": chosen.requests_per_run,
        "mean_ms_in_server": chosen.wait_ms,
        "mean_ms_if_none_merged": unmerged_wait_ms(measured, rows, chosen),
        "capacity_rps_per_replica": measured.service(rows).capacity * measured.workers,
        "memory_mib_per_replica": measured.memory_mib,
        "log_gb_per_day": sizing.log_gb_per_day,
        "parquet_gb_per_day": sizing.parquet_gb_per_day,
        "request_mb_per_s": sizing.mb_per_s,
    }


def _assumptions(config: PlanConfig, measured: Measurement, sizing: Sizing) -> tuple[str, ...]:
    together = measured.service(config.rows).most
    machine = f"{platform.machine()}, {platform.system()}"
    run, request = f"{measured.per_run_us:.0f} us", f"{measured.per_request_us:.0f} us"
    sent = f"{measured.body_bytes} bytes, {config.rows} row(s), {config.payload}"
    said: list[str] = []
    said.append(
        "Requests come at random (a Poisson process), spread evenly over all workers; a few busy "
        "connections, or bursts, need more."
    )
    said.append(f"Every worker has a core to itself, as fast as this machine's ({machine}).")
    said.append(
        f"A run of the model takes {run} of processor time and each request {request} besides; up "
        f"to {together} requests share a run."
    )
    if together > 1:
        said.append(
            "Load is of what a worker answers if it always merges as many as it can; with fewer to "
            "merge it is busier than that."
        )
    if measured.slowness > _SLOW:
        said.append(
            f"All that takes {measured.slowness:.2f} times as long: the server did no more when it "
            "was asked for more than it could, by requests that came at random."
        )
    if measured.pause_us > _COLD * (measured.per_run_us + measured.per_request_us):
        said.append(
            f"After a pause a run takes {measured.pause_us:.0f} us more: caches are cold then."
        )
    said.append(
        "The machine works as unevenly as this one then did; what a lone client saw beyond the "
        "server's work, in the median, stands for the network."
    )
    said.append(f"Requests are as large as the one that was sent: {sent}.")
    if measured.others_busy > _DISTURBED:
        said.append(
            f"Other programs used {measured.others_busy:.0%} of this machine's processors "
            "meanwhile, and made it look slower: plan again when it is idle."
        )
    if config.log_predictions:
        said.append(
            "The log holds what was sent; its Parquet is of equal requests, real ones take more."
        )
    if measured.rows_together == 0:
        said.append(
            "A request keeps a core busy for more than 2 ms, so requests run in threads that share "
            "the core; they are taken to be answered one after the other."
        )
    if sizing.batching is not None:
        said.append(
            f"With `enable_batching` and batches of {sizing.batching.max_batch_size} rows "
            f"{sizing.batching.replicas} replicas may do; try it with `agiwb serve --tune`."
        )
    return tuple(said)
