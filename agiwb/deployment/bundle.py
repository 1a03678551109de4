"""The bundle step: a model's artifacts in a folder that deploys them elsewhere."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agiwb.artifacts.any_format import format_of_folder
from agiwb.artifacts.manifest import SERVED_NAME, StandaloneFormat, check_served_name
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.config import Config
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.deployment.capacity import capacity_of, find_plan
from agiwb.deployment.files import Plan, object_name, write_files
from agiwb.deployment.golden import golden_requests
from agiwb.deployment.validation.check import Check
from agiwb.deployment.versions import TENSORFLOW, BundledVersion, add_versions
from agiwb.errors import InputError, NotFoundError
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore
from agiwb.serving.rest_json.json_text import dump_json

BundledFormat = Literal[StandaloneFormat, "saved_model"]
GOLDEN = "golden.json"


class BundleConfig(Config):
    """What is deployed, and what the deployment asks of it."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, or an artifact's folder."
    )
    later: tuple[str, ...] = Field(
        (), description="More models, as later versions of the same served model."
    )
    formats: tuple[BundledFormat, ...] = Field(
        ("onnx",), min_length=1, description="Formats to include, each a version of each model."
    )
    model_name: str | None = Field(
        None, pattern=SERVED_NAME, description="Name in the URL; by default the artifact's."
    )
    image: str | None = Field(
        None,
        pattern=r"^[a-z0-9][\w./:-]*$",
        description="Name and tag of the image, with its registry; by default agiwb-<name>:<run>.",
    )
    replicas: int = Field(2, ge=1, le=1000, description="Fewest servers behind the service.")
    plan: str | None = Field(
        None, description="Run of `agiwb plan` that says how many servers, of what size, instead."
    )
    dataset: DatasetName | None = Field(
        None, description="Data set of the smoke test; by default the one the model was trained on."
    )
    samples: int = Field(8, ge=1, le=1000, description="Validation examples of the smoke test.")
    tolerance: float = Field(
        1e-4, gt=0, le=0.1, description="Largest difference of an answer in the smoke test."
    )
    p99_ms: float = Field(
        250, gt=0, le=600_000, description="Latency of one request in a hundred that alerts, ms."
    )
    error_rate: float = Field(0.01, gt=0, lt=1, description="Share of failed requests that alerts.")
    shadow_disagreement: float = Field(
        0.05, gt=0, lt=1, description="Share of answers a shadow may give otherwise, else an alert."
    )
    accuracy_drop: float = Field(
        0.05, gt=0, lt=1, description="Accuracy that may be lost, or expected to be, else an alert."
    )
    unusable_share: float = Field(
        0.05, ge=0, lt=1, description="Share of rows with NaN or infinity that alerts."
    )
    check_hours: float = Field(
        24, gt=0, le=8_760, description="Hours without `agiwb monitor` that alert."
    )
    webhook: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="URL that Alertmanager posts alerts to; by default nobody is told.",
    )
    wheels: bool = Field(
        False, description="Include the server's packages: hashed, and built without an index."
    )
    validation: bool = Field(False, description="Check the bundle with the tools at hand.")

    @model_validator(mode="after")
    def _one_says_how_many(self) -> Self:
        if self.plan is not None and "replicas" in self.model_fields_set:
            raise ValueError("`plan` says how many replicas there are; leave out `replicas`.")
        return self

    @field_validator("formats")
    @classmethod
    def _one_without_tensorflow(cls, formats: tuple[BundledFormat, ...]) -> tuple[str, ...]:
        if set(formats) == {"saved_model"}:
            raise ValueError(
                "The server's image holds no TensorFlow, so it needs onnx or litert beside "
                "saved_model, which only TensorFlow Serving's image serves."
            )
        return tuple(dict.fromkeys(formats))


class VersionInBundle(BaseModel):
    """One artifact of the bundle."""

    model_config = ConfigDict(frozen=True)

    number: int
    format: BundledFormat
    folder: str


class BundleRecord(Record):
    """A bundle: its folder is the run's files. ``checks`` are of the validation, if asked for."""

    config: BundleConfig
    served_as: str
    image: str
    dataset: str
    versions: tuple[VersionInBundle, ...]
    checks: tuple[Check, ...] = ()


def _sources(config: BundleConfig, store: RunStore) -> list[ArtifactSource]:
    models = (config.model, *config.later)
    folders = [reference for reference in models if Path(reference).is_dir()]
    found = [
        resolve_artifact(reference, wanted, store)
        for reference in models
        if reference not in folders
        for wanted in config.formats
    ]
    return found + [_artifact_folder(reference, config, store) for reference in folders]


def _artifact_folder(reference: str, config: BundleConfig, store: RunStore) -> ArtifactSource:
    own = format_of_folder(reference)
    is_given = "formats" in config.model_fields_set
    formats = config.formats if is_given else get_args(BundledFormat)
    problems = []
    for wanted in [own] if own is not None and own in formats else config.formats:
        try:
            return resolve_artifact(reference, wanted, store)
        except NotFoundError as error:
            problems.append(error)
    raise problems[0]


def _inputs(config: BundleConfig, store: RunStore) -> dict[str, Input]:
    sources = _sources(config, store)
    for source in sources:
        if source.encrypted is not None:
            raise InputError(
                f"The artifact {source.encrypted} is encrypted, and a bundle would hold it plain.",
                "Bundle what `agiwb trust decrypt` makes of it, if all who get the bundle may read "
                "the model.",
            )
    inputs = {
        f"version {number}": Input(source.fingerprint, source.run_id)
        for number, source in enumerate(sources, start=1)
    }
    if not any(source.artifact.format != "saved_model" for source in sources):
        raise InputError(
            "None of the artifacts can be served without TensorFlow.",
            "Add `onnx` or `litert` to `formats`.",
        )
    _check_alike(sources)
    if config.plan is not None:
        planned = find_plan(config.plan, _fingerprints(sources), store)
        inputs["plan"] = Input(sha256(planned.run.id.encode()).hexdigest(), planned.run.id)
    dataset = dataset_for(config.dataset, sources[0].artifact.dataset, config.model)
    data = load_arrays_of_classes(dataset, "The smoke test of a bundle")
    return {**inputs, "dataset": Input(data.fingerprint)}


def _fingerprints(sources: list[ArtifactSource]) -> frozenset[str]:
    return frozenset(source.fingerprint for source in sources)


def _check_alike(sources: list[ArtifactSource]) -> None:
    """Raise InputError unless one client can ask every version."""
    first = sources[0].artifact
    for source in sources[1:]:
        other = source.artifact
        same_inputs = {spec.name for spec in other.signature.inputs} == {
            spec.name for spec in first.signature.inputs
        }
        if not same_inputs or other.classes != first.classes:
            raise InputError(
                f"{source.folder} is no version of the model in {sources[0].folder}: it takes "
                "other inputs or knows other classes.",
                "Bundle them apart.",
            )


@step("bundle", inputs=_inputs)
def bundle(config: BundleConfig, context: Context) -> BundleRecord:
    """Return the record of a folder that deploys a model, checked if ``config.validation``.

    The folder's README says the commands for each target. What a check finds is among the
    record's problems.

    Raises:
        NotFoundError: There is no such artifact.
        InputError: The artifacts are no versions of one model, or not of classes of arrays.
        WorkError: A package the server needs is missing here, or an artifact has been changed.
    """
    sources = _sources(config, context.store)
    for number, source in enumerate(sources, start=1):
        context.confirm(f"version {number}", source.fingerprint)
    artifact = sources[0].artifact
    name = config.model_name or check_served_name(artifact.name)
    dataset = dataset_for(config.dataset, artifact.dataset, config.model)
    image = config.image or f"agiwb-{object_name(name)}:{context.run.id[:8]}"
    versions = add_versions(sources, name, context.files)
    plan = Plan(
        name=name,
        image=image,
        capacity=capacity_of(
            config.replicas,
            find_plan(config.plan, _fingerprints(sources), context.store) if config.plan else None,
        ),
        versions=versions,
        run=context.run,
        metrics=_training_metrics(context),
        alerts={
            "p99_s": config.p99_ms / 1000,
            "error_rate": config.error_rate,
            "shadow_disagreement": config.shadow_disagreement,
            "accuracy_drop": config.accuracy_drop,
            "unusable_share": config.unusable_share,
            "check_hours": config.check_hours,
        },
        webhook=config.webhook,
    )
    context.progress("golden requests", 0, len(versions))
    _write_golden(plan, config, dataset, context.files)
    context.say("Writing the deployment files.")
    write_files(plan, context.files, wheels=config.wheels)
    checks = _validate(context) if config.validation else ()
    return BundleRecord(
        run=context.run,
        config=config,
        metrics={"versions": len(versions)},
        problems=tuple(check.sentence() for check in checks if check.state == "failed"),
        served_as=name,
        image=image,
        dataset=dataset,
        versions=tuple(_summary(version) for version in versions),
        checks=checks,
    )


def _write_golden(plan: Plan, config: BundleConfig, dataset: str, root: Path) -> None:
    data = load_arrays_of_classes(dataset, "The smoke test of a bundle")
    samples = data.validation.sample(config.samples).features
    for versions, folder in ((plan.served, root), (plan.tensorflow, root / TENSORFLOW)):
        if versions:
            golden = golden_requests(plan.name, versions, samples, config.tolerance)
            (folder / GOLDEN).write_bytes(dump_json(golden))


def _training_metrics(context: Context) -> dict[str, float]:
    """Return what the run that trained the first version's model measured, if it is known."""
    run = context.run.provenance.parents.get("version 1")
    while run is not None:
        try:
            record = context.store.get(run)
        except NotFoundError:
            return {}
        if record.run.step in {"train", "search"}:
            return record.metrics
        run = record.run.provenance.parents.get("model")
    return {}


def _validate(context: Context) -> tuple[Check, ...]:
    from agiwb.deployment.validation.validate import validate

    def told(check: Check) -> Check:
        context.say(check.sentence())
        context.stop_if_cancelled()
        return check

    return tuple(told(check) for check in validate(context.files))


def _summary(version: BundledVersion) -> VersionInBundle:
    return VersionInBundle.model_validate(
        {"number": version.number, "format": version.format, "folder": version.folder}
    )
