"""Making one candidate, in a process of its own: train, convert, gate, keep.

A stage that another candidate has been through already is taken from the cache, and each one that
this candidate adds is kept there: ``prune_80+int8`` trains nothing that ``prune_80`` has trained.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.compression.recipe import Recipe
from agiwb.compression.trials.assignment import Assignment, candidate_code, decisive_packages
from agiwb.compression.trials.shared_data import cast_features, open_shared
from agiwb.crews.crew import Line
from agiwb.crews.threads import limit_threads
from agiwb.datasets.dataset import Dataset
from agiwb.errors import InputError, WorkError
from agiwb.runs.events import Pace

if TYPE_CHECKING:
    import keras

_STAGE_FILE = "stage.keras"
_IMPORTED = (
    "keras",
    "tensorflow.lite.python.lite",
    "ai_edge_litert.interpreter",
    "threadpoolctl",
)


@dataclass(frozen=True)
class Progress:
    """How far a phase of the work is."""

    phase: str
    done: int
    total: int


class OtherVersionError(WorkError):
    """Who makes candidates has other code than who asks for them: no result would be true."""


class UnusableModelError(Exception):
    """The model to compress is no model, or does not fit the data: no candidate can be made.

    Attributes:
        error: What a user is to be told.
    """

    def __init__(self, error: InputError) -> None:
        super().__init__(error)
        self.error = error


def get_ready() -> None:
    """Import what making candidates needs."""
    from agiwb.tensorflow_quietly import import_tensorflow

    candidate_code()  # of what is imported next, not of what lies there once there is work
    decisive_packages()
    import_tensorflow()
    for name in _IMPORTED:
        importlib.import_module(name)


def make(job: Assignment, line: Line) -> float:
    """Return the seconds that the candidate took here, which is kept under ``job.key``.

    Its files are ``model.keras``, the deployable file and ``answers.npz``.

    Raises:
        OtherVersionError: Code has changed.
        UnusableModelError: The model cannot be loaded, or does not fit the data.
        AgiwbError: The candidate cannot be made, or its file did not pass the gate.
    """
    if job.code != candidate_code():
        raise OtherVersionError(
            "The process that makes candidates has another version of agiwb than the sweep.",
            "If agiwb was changed, start this program again; install the same on all workers.",
        )
    began = time.monotonic()
    if job.cache.find(job.key) is None:
        _prepare(job.material.threads)
        data = open_shared(job.material.data, job.arrays)
        model, facts = _train(job, data, _paced(line.tell))
        taken = cast_features(data, str(model.inputs[0].dtype))
        _write(job, taken, model, facts, _paced(line.tell))
    return time.monotonic() - began


def _prepare(threads: int) -> None:
    from agiwb.tensorflow_quietly import import_tensorflow

    limit_threads(threads)
    import_tensorflow().config.experimental.enable_op_determinism()


def _train(
    job: Assignment, data: Dataset, tell: Callable[[Any], None]
) -> tuple[keras.Model, dict[str, Any]]:
    """Return the model after the recipe's training, with the facts of its stages."""
    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.techniques.technique import Bench

    prefixes = job.recipe.prefixes()
    facts: dict[str, Any] = {"seconds": 0.0, "stage_bytes": {}}
    done, model = 0, None
    for count in range(len(prefixes), 0, -1):
        found = job.cache.find(job.material.stages_key(prefixes[count - 1], job.seed))
        if found is not None:
            done, model, facts = count, _load_stage(found.file(_STAGE_FILE)), found.facts
            break
    if model is None:
        model = rebuild(_load_source(job.material.model, data))
    tuning = dataclasses.replace(job.material.tuning, seed=job.seed)
    for prefix in prefixes[done:]:
        stage = prefix.training[-1]

        def report(now: int, total: int, phase: str = f"fine-tune {stage}") -> None:
            tell(Progress(phase, now, total))

        began = time.monotonic()
        model = stage.apply(model, Bench(data.train, tuning, report))
        facts = {
            "seconds": facts["seconds"] + time.monotonic() - began,
            "stage_bytes": {**facts["stage_bytes"], prefix.name: _packed_weights(model)},
        }
        with job.cache.draft() as draft:
            model.save(draft / _STAGE_FILE)
            kept = job.cache.keep(job.material.stages_key(prefix, job.seed), draft, facts)
        # As whoever takes it from the cache has it: nothing of the training is left around it.
        model = _load_stage(kept.file(_STAGE_FILE))
    return model, facts


def _write(
    job: Assignment,
    data: Dataset,
    model: keras.Model,
    facts: dict[str, Any],
    tell: Callable[[Any], None],
) -> None:
    """Keep the candidate made of the trained ``model``."""
    from agiwb.compression.deployable import write_deployable
    from agiwb.compression.gate import check_against_source, pass_gate, store_source_answers
    from agiwb.compression.pruning import measured_sparsity
    from agiwb.compression.quantization import calibration_samples
    from agiwb.compression.sensitivity import layer_classes, layer_sensitivity
    from agiwb.compression.sizes import measure_file, measure_model
    from agiwb.compression.techniques.integer_file import has_trained_ranges, plain_model

    recipe, material = job.recipe, job.material
    phase = f"convert {recipe.name}"
    tell(Progress(phase, 0, 1))
    with job.cache.draft() as draft:
        began = time.monotonic()
        plain = plain_model(model) if has_trained_ranges(model) else model
        plain.save(draft / MODEL_FILE)
        samples = calibration_samples(
            data.train.features, material.calibration_samples, material.calibration_seed
        )
        file = write_deployable(model, recipe, samples, draft, data.classes, material.scheme)
        seconds = facts["seconds"] + time.monotonic() - began
        gate = pass_gate(file, data.validation, data.test, draft)
        store_source_answers(_source_of(file, recipe, model, plain), data.validation, draft)
        check_against_source(draft, recipe.precision)
        facts = {
            "recipe": recipe.name,
            "seed": job.seed,
            "seconds": seconds,
            "stage_bytes": facts["stage_bytes"],
            "sparsity": measured_sparsity(plain),
            "layers": sorted(layer_classes(plain)),
            "gate": dataclasses.asdict(gate),
            "file_size": dataclasses.asdict(measure_file(file)),
            # Other precisions round the model's numbers: packing these says nothing of the file.
            "model_size": dataclasses.asdict(
                measure_model(plain, packed=recipe.precision == "float32")
            ),
            "sensitivity": [
                layer.model_dump()
                for layer in (layer_sensitivity(plain, data.validation) if job.sensitivity else ())
            ],
        }
        job.cache.keep(job.key, draft, facts)
    tell(Progress(phase, 1, 1))


def _source_of(file: Path, recipe: Recipe, model: keras.Model, plain: keras.Model) -> keras.Model:
    """Return the model that ``file`` should answer as: with trained ranges only if it has them."""
    return model if recipe.precision == "int8" and file.suffix == ".tflite" else plain


def _load_source(path: Path, data: Dataset) -> keras.Model:
    from agiwb.models.loading import load_classifier

    try:
        return load_classifier(path, data)
    except InputError as error:
        raise UnusableModelError(error) from error


def _load_stage(path: Path) -> keras.Model:
    import keras

    from agiwb.compression.techniques.quantized_layer import quantized_layer_class

    quantized_layer_class()  # which a model with trained ranges is made of
    return keras.models.load_model(path, compile=False)


def _packed_weights(model: keras.Model) -> int:
    """Return the bytes of all weights of ``model`` after ``gzip -9``."""
    content = b"".join(weights.tobytes() for weights in model.get_weights())
    return len(gzip.compress(content, 9, mtime=0))


def _paced(tell: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return ``tell`` at ten reports a second, and always the first and last of a phase."""
    pace = Pace()

    def told(said: Any) -> None:
        if not isinstance(said, Progress) or pace.allows(said.phase, said.done, said.total):
            tell(said)

    return told
