"""Sending a sweep's candidate on: to be converted, or served."""

from __future__ import annotations

import traitlets

from agiwb.compression.artifact_format import artifact_format
from agiwb.compression.recipe import parse_recipe
from agiwb.compression.sweep import SweepRecord
from agiwb.errors import InputError, NotFoundError
from widgets.guard import GuardedState, guarded
from widgets.selection import Selection
from widgets.tradeoff.state import TradeoffState


def reference_to(record: SweepRecord, name: str) -> str:
    """Return what every step takes for the candidate's Keras model: ``<run>:<candidate>``."""
    return f"{record.run.id[:8]}:{name}"


class SendOnState(GuardedState):
    """Sets the selection to the candidate that is looked at; ``told`` says what became of it.

    In a workbench the tab of the panel that goes on is opened.
    """

    told = traitlets.Unicode("")

    def __init__(self, tradeoff: TradeoffState, selection: Selection) -> None:
        super().__init__()
        self._tradeoff = tradeoff
        self._selection = selection

    @guarded
    def convert(self) -> None:
        """Select the candidate's Keras model, for the Convert panel."""
        self.told = ""
        reference, _ = self._inspected()
        self._selection.model = reference
        self.told = f"Selected the model {reference}: go on in the Convert tab."
        self._selection.tab = "Convert"

    @guarded
    def serve(self) -> None:
        """Select the candidate's converted artifact, for the Serve panel; without one, say so."""
        from agiwb.artifacts.resolve import resolve_artifact
        from agiwb.runs.store import open_store

        self.told = ""
        reference, name = self._inspected()
        wanted = artifact_format(parse_recipe(name))
        if wanted is None:
            raise InputError(
                f"No conversion writes what {name} is, an 8-bit ONNX file.",
                "Convert the model to onnx, or take a candidate in LiteRT.",
            )
        self._selection.model = reference
        try:
            found = resolve_artifact(reference, wanted, open_store())
        except NotFoundError:
            self.told = (
                f"Selected the model {reference}. It has no {wanted} artifact yet: convert it "
                "first, in the Convert tab; what it writes is what Serve begins with."
            )
            return
        self._selection.artifact = str(found.folder)
        self.told = f"Selected the {wanted} artifact of {reference}: go on in the Serve tab."
        self._selection.tab = "Serve"

    def _inspected(self) -> tuple[str, str]:
        record, name = self._tradeoff.record, self._tradeoff.inspected
        candidate = self._tradeoff.candidate(name)
        if record is None or candidate is None:
            raise InputError("No candidate is looked at.", "Click on a point first.")
        if candidate.measured is None:
            raise InputError(f"{name} could not be made: {candidate.reason}", "Choose another.")
        return reference_to(record, name), name
