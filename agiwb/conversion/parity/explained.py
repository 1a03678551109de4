"""A report of what went wrong, with the layer where it began."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.artifacts.manifest import Format
from agiwb.conversion.parity.layers import first_divergence
from agiwb.conversion.parity.report import LayerDivergence, ParityReport
from agiwb.errors import AgiwbError
from agiwb.runtimes.runtime import Tensors

if TYPE_CHECKING:
    import keras


def with_first_divergence(
    report: ParityReport,
    model: Callable[[], keras.Model | None],
    folder: Path,
    asked: Tensors,
    given: Tensors,
) -> ParityReport:
    """Return the report with the first layer that differs, told after its problems.

    A report without problems comes back as it is; so does one whose artifact cannot be looked
    into.

    Args:
        report: Of the artifact in ``folder``.
        model: Returns the Keras model; None if the source was no Keras file.
        folder: Of the artifact.
        asked: Real examples by the names of the model's inputs.
        given: The same as the artifact takes them.
    """
    if not report.problems:
        return report
    found = divergence_if_told(model, folder, report.format, asked, given)
    if found is None:
        return report
    *others, last = report.problems
    return report.model_copy(
        update={"first_divergence": found, "problems": (*others, f"{last} {found}")}
    )


def divergence_if_told(
    model: Callable[[], keras.Model | None],
    folder: Path,
    wanted: Format,
    asked: Tensors,
    given: Tensors,
) -> LayerDivergence | None:
    """Return the first layer that differs; None also if the artifact cannot be looked into."""
    try:
        loaded = model()
        return None if loaded is None else first_divergence(loaded, folder, wanted, asked, given)
    except (AgiwbError, AttributeError, ValueError, KeyError):
        # A model whose layers are not connected has no answers in between; the verdict stands.
        logging.getLogger("agiwb").info("No layer of %s can be named.", folder, exc_info=True)
        return None
