"""Finding a model or an artifact by what a user calls it.

A model is called by a registered name (``digits-cnn``, or ``digits-cnn/2`` for a version, or
``digits-cnn@champion`` for what was promoted), by the id of the run that trained it, or of a sweep
for what it chose, by ``<sweep run>:<candidate>``, by ``latest``, or by the path of a ``.keras``
file, or of the folder of an artifact that is one.

An encrypted artifact is read from a private copy. With AGIWB_REQUIRE_SIGNATURE, the path of a
public key, artifacts that its owner has not signed are refused.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from agiwb.artifacts.manifest import MANIFEST_FILE, MODEL_FILES, Artifact, Format, read_artifact
from agiwb.errors import ConfigError, NotFoundError
from agiwb.runs.files import sha256_of_file
from agiwb.settings import Settings
from agiwb.trust.encryption import is_encrypted, private_copy
from agiwb.trust.signing import verify_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agiwb.runs.record import Record
    from agiwb.runs.store import RunStore

MODEL_FILE = "model.keras"

IMPORT = "import_model"
"""The step whose runs hold a folder for each format, named after it, as conversions do."""

REJECTED = "rejected"
"""Folder of the artifacts that failed: there to be looked at, where no reference finds them."""


@dataclass(frozen=True)
class ModelSource:
    """A Keras model found: its file, its digest, and what is known of its origin."""

    path: Path
    fingerprint: str
    name: str
    dataset: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class ArtifactSource:
    """An artifact found: its folder, its manifest, and the run that made it.

    ``encrypted`` is where it lies encrypted, if it does; ``folder`` is then a private copy.
    """

    folder: Path
    artifact: Artifact
    run_id: str | None = None
    encrypted: Path | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's main file set, as the manifest states it."""
        return "+".join(file.sha256 for file in self.artifact.files)


def resolve_model(reference: str, store: RunStore) -> ModelSource:
    """Return the Keras model that ``reference`` names.

    Raises:
        NotFoundError: There is no such model.
    """
    path = Path(reference)
    if path.is_dir() and path.suffix != ".keras":
        source = _artifact_folder(path, "keras")
        file = source.folder / MODEL_FILES["keras"]
        name, dataset = source.artifact.name, source.artifact.dataset
        return ModelSource(file, sha256_of_file(file), name, dataset)
    if path.suffix == ".keras":
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.", "Check the path.")
        return ModelSource(path, sha256_of_file(path), path.stem)
    run_reference, _, candidate = reference.partition(":")
    record = _find_record(run_reference, store)
    if candidate or record.run.step == "sweep":
        return _candidate(record, candidate)
    if record.run.step == IMPORT:
        return _imported_model(record, reference)
    if record.run.step not in {"train", "search"}:
        raise NotFoundError(
            f"Run {record.run.id[:8]} ({record.run.step}) made no Keras model.",
            "Name a model, or a run of `agiwb train` or `agiwb search`.",
        )
    name = str(getattr(record, "model_name", reference))
    return _source(record, record.file(MODEL_FILE), name)


def resolve_artifact(reference: str, wanted: Format, store: RunStore) -> ArtifactSource:
    """Return the artifact in format ``wanted`` that ``reference`` names.

    ``reference`` is a model (see the module), whose newest conversion is taken, the id of a
    convert run, or the path of an artifact's folder, for which the one in format ``wanted`` that
    the same run wrote beside it is taken too.

    Raises:
        NotFoundError: There is none, or the folder's is in another format.
        WorkError: Its files are not what its manifest says.
    """
    path = Path(reference)
    if path.is_dir():
        return _artifact_folder(artifact_beside(path, wanted) or path, wanted)
    imported = _import_run(reference, store)
    if imported is not None and (own := _imported_artifact(imported, wanted)) is not None:
        return own
    found: Iterable[Record]
    if (made := _convert_run(reference, store)) is not None:
        found = [made]
    else:
        found = store.find("convert", input_model=_converted_from(reference, imported, store))
    rejected = None
    for record in found:  # no further than needed: a run may have to be fetched from far away
        if (folder := record.file(wanted)).is_dir():
            return ArtifactSource(folder, _checked(folder), record.run.id)
        if rejected is None and record.file(f"{REJECTED}/{wanted}").is_dir():
            rejected = record.run.id
    model_name = getattr(made.config, "model", reference) if made else reference
    again = f"agiwb convert --model {model_name} --formats {wanted}"
    if rejected is not None:
        raise NotFoundError(
            f"The {wanted} artifact of {reference!r} did not pass its parity check.",
            f"`agiwb runs show {rejected[:8]}` tells why; `{again} --allow-divergence` keeps it, "
            "marked, if the model is better than chance.",
        )
    problem = f"There is no {wanted} artifact of {reference!r}."
    if imported is not None and (kind := _only_format(imported)) is not None:
        raise NotFoundError(
            problem,
            f"It was imported as {kind}: name that, `--format {kind}` (of a bundle `--formats`), "
            f"or see with `agiwb convert` what can be made of {kind}.",
        )
    raise NotFoundError(problem, f"Make one with `{again}`.")


def own_format(reference: str, store: RunStore) -> Format | None:
    """Return the format of an imported model that no Keras model was made of; else None."""
    record = _import_run(reference, store)
    return None if record is None else _only_format(record)


def artifact_beside(folder: Path, wanted: Format) -> Path | None:
    """Return the artifact in format ``wanted`` that the run which made ``folder`` made too.

    A run writes each artifact into a folder of its format's name.
    """
    folder = folder.resolve()
    beside = folder.with_name(wanted)
    is_artifact = (beside / MANIFEST_FILE).is_file() or is_encrypted(beside)
    return beside if is_artifact and folder.name in get_args(Format) else None


def _imported_model(record: Record, reference: str) -> ModelSource:
    path = record.file(f"keras/{MODEL_FILES['keras']}")
    if not path.is_file():
        kind = getattr(record, "format", "")
        raise NotFoundError(
            f"The model {reference!r} was imported as {kind}, which no Keras model can be made of.",
            f"Name its format, `--format {kind}` (of a bundle `--formats`), to serve or "
            "evaluate it; `agiwb convert` and `agiwb inspect` take it as it is; to compress a "
            "model, import its Keras file.",
        )
    return _source(record, path, str(getattr(record, "model_name", reference)))


def _import_run(reference: str, store: RunStore) -> Record | None:
    """Return the run that imported a model, None if it was not imported."""
    try:
        record = _find_record(reference, store)
    except NotFoundError:
        return None
    return record if record.run.step == IMPORT else None


def _only_format(imported: Record) -> Format | None:
    """Return an imported model's format, None if a Keras model was made of it."""
    if imported.file("keras").is_dir():
        return None
    kind: Format | None = getattr(imported, "format", None)
    return kind


def _imported_artifact(imported: Record, wanted: Format) -> ArtifactSource | None:
    if not (folder := imported.file(wanted)).is_dir():
        return None
    return ArtifactSource(folder, _checked(folder), imported.run.id)


def _converted_from(reference: str, imported: Record | None, store: RunStore) -> str:
    """Return the fingerprint of what conversions of a model are made from."""
    if imported is not None and (kind := _only_format(imported)) is not None:
        own = _imported_artifact(imported, kind)
        return "" if own is None else own.fingerprint
    return resolve_model(reference, store).fingerprint


def dataset_for(given: str | None, known: str | None, whose: str) -> str:
    """Return the name of the data set ``given``, else the one ``known`` for the model ``whose``.

    Raises:
        ConfigError: There is neither.
    """
    if name := given or known:
        return name
    raise ConfigError(
        f"`dataset` is needed: nothing tells which data {whose} was trained on.",
        "Give it as `dataset`: a name such as `digits`, or the path of your own data.",
    )


def dataset_of(record: Record) -> str | None:
    """Return the name of what a run's model was trained on; None if nothing tells."""
    return getattr(record.config, "dataset", None) or getattr(record, "dataset", None)


def _artifact_folder(path: Path, wanted: Format) -> ArtifactSource:
    encrypted = path if is_encrypted(path) else None
    folder = private_copy(path) if encrypted else path
    artifact = _checked(folder)
    if artifact.format != wanted:
        raise NotFoundError(
            f"{path} is a {artifact.format} artifact, and {wanted} is wanted.",
            f"Give `--format {artifact.format}` if that is taken; `agiwb convert --model {path} "
            f"--formats {wanted}` makes the other.",
        )
    return ArtifactSource(folder, artifact, encrypted=encrypted)


def _checked(folder: Path) -> Artifact:
    """Return the folder's manifest, its files checked, and who signed them if that is required."""
    if (public_key := Settings().require_signature) is not None:
        verify_folder(folder, public_key.expanduser())
    return read_artifact(folder)


def _convert_run(reference: str, store: RunStore) -> Record | None:
    try:
        record = store.get(reference)
    except NotFoundError:
        return None
    return record if record.run.step == "convert" else None


def _find_record(reference: str, store: RunStore) -> Record:
    if reference == "latest":
        if (newest := store.newest_model()) is None:
            raise NotFoundError("No model has been trained yet.", "`agiwb train` makes one.")
        return store.get(newest)
    with contextlib.suppress(NotFoundError):
        return store.get(reference)
    name, _, version = reference.partition("/")
    names = store.registered_names()
    if name in names:
        return store.get(store.registered_run(name, version or None))
    name, _, alias = reference.partition("@")
    if alias and name in names:
        return store.get(store.registered_run(name, store.aliased_version(name, alias)))
    raise NotFoundError(
        f"There is no model {reference!r}.",
        f"Registered: {', '.join(names) or 'none yet'}. `agiwb train` makes one; "
        "`agiwb runs list` shows the runs.",
    )


def _candidate(record: Record, candidate: str) -> ModelSource:
    names = sorted(path.parent.name for path in record.run.folder.glob(f"*/{MODEL_FILE}"))
    chosen = getattr(record, "chosen", None)
    if not candidate:
        candidate = chosen or ""
    path = record.file(f"{candidate}/{MODEL_FILE}")
    if candidate not in names:
        raise NotFoundError(
            f"Run {record.run.id[:8]} ({record.run.step}) "
            + (f"has no candidate {candidate!r}." if candidate else "chose no candidate."),
            f"It has: {', '.join(names) or 'none'}. Write <run>:<candidate>.",
        )
    registered = getattr(record.config, "name", None)
    if registered and candidate == chosen:
        return _source(record, path, registered)
    name = str(getattr(record, "model_name", record.run.id[:8]))
    unchanged = sha256_of_file(path) == sha256_of_file(record.file(f"baseline/{MODEL_FILE}"))
    return _source(record, path, name if unchanged else f"{name}-{candidate.replace('+', '-')}")


def _source(record: Record, path: Path, name: str) -> ModelSource:
    return ModelSource(path, sha256_of_file(path), name, dataset_of(record), record.run.id)
