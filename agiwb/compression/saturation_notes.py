"""What a sweep adds to each int8 ONNX file: whether this processor computes what it says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agiwb.compression.candidate import Candidate
from agiwb.compression.recipe import parse_recipe
from agiwb.datasets.dataset import Split
from agiwb.errors import AgiwbError, CancelledError
from agiwb.runtimes.fresh_process import call_in_fresh_process

_MOST_SAMPLES = 500
"""Of these, the smallest share that counts as saturation is ten."""


def with_saturation_notes(
    candidates: Sequence[Candidate],
    folder: Path,
    samples: Split,
    while_waiting: Callable[[], None] = lambda: None,
) -> tuple[Candidate, ...]:
    """Return the candidates; each int8 ONNX file that ran has the finding of the check added.

    Args:
        candidates: All of a sweep.
        folder: Where each has its file, in a folder of its name.
        samples: The validation split.
        while_waiting: Called now and then; if it raises, the check is ended.
    """
    return tuple(
        candidate.model_copy(
            update={
                "findings": (
                    *candidate.findings,
                    saturation_note(
                        folder / recipe.name / recipe.file_name, samples, while_waiting
                    ),
                )
            }
        )
        if candidate.measured and (recipe.runtime, recipe.precision) == ("onnx", "int8")
        else candidate
        for candidate in candidates
        for recipe in (parse_recipe(candidate.name),)
    )


def saturation_note(
    file: Path, samples: Split, while_waiting: Callable[[], None] = lambda: None
) -> str:
    """Return in a sentence whether this processor computes what the int8 ``.onnx`` file says.

    A fresh process runs it, so that a file which crashes costs no more than this note.

    Args:
        file: A quantized file that runs.
        samples: Real examples with their classes, of the validation split; the first 500 are run.
        while_waiting: Called now and then; if it raises, the process is ended.
    """
    with tempfile.TemporaryDirectory(prefix="agiwb-saturation-") as place:
        for name, array in (("features", samples.features), ("labels", samples.labels)):
            np.save(Path(place) / f"{name}.npy", array[:_MOST_SAMPLES], allow_pickle=False)
        try:
            verdict: str = call_in_fresh_process(
                "agiwb.compression.saturation:verdict_on",
                {"quantized": file, "samples": place},
                while_waiting=while_waiting,
            )
        except CancelledError:
            raise
        except AgiwbError as error:
            return f"Whether its 8-bit kernels saturate could not be checked: {error.problem}"
    return verdict
