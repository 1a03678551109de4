"""The file beside each candidate from which it can be made again: a sweep of one recipe."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.resolve import ModelSource
from agiwb.compression.recipe import Recipe
from agiwb.compression.stages import word
from agiwb.compression.trials.assignment import Material, candidate_code, decisive_packages
from agiwb.runs.files import write_atomic

if TYPE_CHECKING:
    from agiwb.compression.sweep_config import SweepConfig

RECIPE_FILE = "recipe.yaml"

_KEPT = (
    "fine_tune_epochs", "learning_rate", "batch_size", "seed", "calibration_samples",
)  # fmt: skip


def write_recipe_file(
    folder: Path,
    recipe: Recipe,
    config: SweepConfig,
    source: ModelSource,
    material: Material,
    dataset: str,
) -> Path:
    """Write ``recipe.yaml`` into ``folder`` and return its path.

    It is the config of a sweep that makes this candidate again, beside the baseline: the same
    file, byte for byte, where code, versions and kind of processor are those that its comments
    name.
    """
    import yaml

    kept = {name: getattr(config, name) for name in _KEPT}
    fields: dict[str, Any] = {
        "model": _lasting_reference(config.model, source),
        "dataset": str(Path(dataset).resolve()) if Path(dataset).exists() else dataset,
        "recipes": [[{word(stage): _parameters(stage)} for stage in recipe.stages]],
        **kept,
        "threads": material.threads,
    }
    if not recipe.stages:
        fields["recipes"] = [recipe.name]
    about = {
        "candidate": recipe.name,
        "model": f"{source.name}, SHA-256 {material.model_sha256}",
        "data set": f"{dataset}, fingerprint {material.data_sha256}",
        "code": f"SHA-256 {candidate_code()}",
        "packages": ", ".join(f"{name} {it}" for name, it in decisive_packages().items()),
        "system": f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    }
    comments = "".join(f"# {name}: {text}\n" for name, text in about.items())
    head = f"# To make it again: agiwb sweep --config {RECIPE_FILE}\n{comments}"
    path = folder / RECIPE_FILE
    write_atomic(path, head + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))
    return path


def _parameters(stage: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = stage.model_dump(mode="json", exclude={"form"})
    return parameters


def _lasting_reference(given: str, source: ModelSource) -> str:
    """Return what will name the same model tomorrow, as ``latest`` may not."""
    if source.run_id is None:
        return str(source.path.resolve())
    _, colon, candidate = given.partition(":")
    return f"{source.run_id}{colon}{candidate}"
