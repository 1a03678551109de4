"""What a candidate is made of, and the digests that name the result."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agiwb.compression.advisor import Scheme
from agiwb.compression.pruning import FineTuning
from agiwb.compression.recipe import Recipe
from agiwb.compression.stages import word
from agiwb.compression.trials.cache import Cache
from agiwb.datasets.dataset import Dataset
from agiwb.runs.provenance import PACKAGE_FOLDER, package_versions

_DECISIVE_CODE = (
    "artifacts", "compression", "conversion", "crews", "datasets", "models", "native_chatter.py",
    "runtimes", "statistics.py", "tensorflow_quietly.py", "training",
)  # fmt: skip
"""Whatever else changes in agiwb cannot change a candidate."""

_DECISIVE_PACKAGES = (
    "ai-edge-litert", "keras", "numpy", "onnx", "onnxruntime", "tensorflow",
    "tensorflow-model-optimization", "tf-keras", "tf2onnx",
)  # fmt: skip


@dataclass(frozen=True)
class Material:
    """What all candidates of a sweep are made of.

    Attributes:
        model: The Keras model's file.
        model_sha256: Its digest.
        data: The data set, its splits emptied; see ``shared_data``.
        data_sha256: Fingerprint of the data set.
        tuning: How stages that train do so; the seed is each assignment's own.
        calibration_samples: Training examples that 8-bit files calibrate on.
        calibration_seed: With which they are drawn.
        threads: Of TensorFlow; sums in another order round differently.
        scheme: How ONNX files compute in 8 bits, whatever machine makes them.
    """

    model: Path
    model_sha256: str
    data: Dataset
    data_sha256: str
    tuning: FineTuning
    calibration_samples: int
    calibration_seed: int
    threads: int
    scheme: Scheme

    def stages_key(self, recipe: Recipe, seed: int) -> str:
        """Return the digest of all that decides the Keras model after the recipe's training."""
        return _digest(self._trained_from(recipe, seed))

    def candidate_key(self, recipe: Recipe, seed: int) -> str:
        """Return the digest of all that decides the candidate's files."""
        form = recipe.conversion
        decisive = {
            "trained": self._trained_from(recipe, seed),
            "form": _plain(form) if form else None,
            "calibration": [self.calibration_samples, self.calibration_seed] if form else None,
            "processor": str(self.scheme) if recipe.runtime == "onnx" else None,
        }
        return _digest(decisive)

    def _trained_from(self, recipe: Recipe, seed: int) -> dict[str, Any]:
        trains = bool(recipe.training)
        return {
            "model": self.model_sha256,
            "data": self.data_sha256,
            "stages": [_plain(stage) for stage in recipe.training],
            "tuning": vars(replace(self.tuning, seed=seed)) if trains else None,
            "threads": self.threads if trains else None,
            "code": candidate_code(),
            "packages": decisive_packages(),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        }


@dataclass(frozen=True)
class Assignment:
    """A candidate to be made.

    Attributes:
        recipe: Its stages.
        seed: Of the training.
        material: What it is made of.
        arrays: Folder of the data set's arrays.
        cache: Where to look for what is known, and to keep what is made.
        code: ``candidate_code`` of whoever gives the assignment.
        sensitivity: Whether to try each layer of the model alone as well.
    """

    recipe: Recipe
    seed: int
    material: Material
    arrays: Path
    cache: Cache
    code: str
    sensitivity: bool = False

    @property
    def key(self) -> str:
        """The digest that names its result."""
        key = self.material.candidate_key(self.recipe, self.seed)
        return f"{key}-sensitivity" if self.sensitivity else key

    @property
    def stages_keys(self) -> tuple[str, ...]:
        """The digests that name what is left after each stage that trains."""
        return tuple(
            self.material.stages_key(prefix, self.seed) for prefix in self.recipe.prefixes()
        )

    def elsewhere(self, model: Path, arrays: Path, cache: Cache) -> Assignment:
        """Return the same for another machine, whose files lie in these places."""
        return replace(
            self, material=replace(self.material, model=model), arrays=arrays, cache=cache
        )


def decisive_packages() -> dict[str, str]:
    """Return the versions of the packages that a candidate depends on."""
    return {name: package_versions()[name] for name in _DECISIVE_PACKAGES}


@functools.cache
def candidate_code() -> str:
    """Return one SHA-256 over the source that a candidate depends on."""
    digest = hashlib.sha256()
    for name in _DECISIVE_CODE:
        root = PACKAGE_FOLDER / name
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            digest.update(path.relative_to(PACKAGE_FOLDER).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _plain(stage: Any) -> dict[str, Any]:
    return {"stage": word(stage), **stage.model_dump(mode="json")}


def _digest(decisive: object) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
