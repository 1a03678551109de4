"""What is looked at in a trade-off, and what would be chosen under the limits that are set."""

from __future__ import annotations

from typing import Any

import traitlets

from agiwb.compression.candidate import Candidate
from agiwb.compression.constraints import Choice, Limits, choose
from agiwb.compression.recipe import BASELINE
from widgets.guard import GuardedState, guarded

_LIMITS = ("accuracy_drop", "gzip_bytes", "latency_ratio")
_NOTHING = Choice(None, "")


class TradeoffState(GuardedState):
    """A sweep's record, the limits as they are set on screen, and the candidates looked at.

    The record is never changed: other limits show what would be chosen, by the rule of the sweep.
    """

    record = traitlets.Any(None, allow_none=True, help="A SweepRecord, or None")
    accuracy_drop = traitlets.Float(
        0.01, help="Largest share of the validation examples that may be lost, 0 to 1"
    )
    gzip_bytes: traitlets.Int[int | None, int | None] = traitlets.Int(
        None, allow_none=True, help="Largest file after gzip"
    )
    latency_ratio: traitlets.Float[Any, Any] = traitlets.Float(
        None, allow_none=True, help="Longest time, relative to the baseline's"
    )
    inspected = traitlets.Unicode("", help="The candidate looked at; empty if none is")
    compared = traitlets.Unicode("", help="The one beside it; empty if none is")
    choice = traitlets.Any(_NOTHING, help="The Choice under these limits")

    @property
    def names(self) -> list[str]:
        """The names of all candidates, in the order of the record."""
        return [] if self.record is None else [one.name for one in self.record.candidates]

    @property
    def baseline_accuracy(self) -> float | None:
        """Share right of the validation split, of the model as it is; None before a record."""
        found = self.candidate(BASELINE)
        return found.measured.validation_accuracy if found and found.measured else None

    def candidate(self, name: str) -> Candidate | None:
        """Return the candidate called ``name``, or None."""
        candidates = () if self.record is None else self.record.candidates
        return next((one for one in candidates if one.name == name), None)

    @guarded
    def inspect(self, name: str) -> None:
        """Look at ``name``; an unknown one is none."""
        self.inspected = name if self.candidate(name) else ""
        if self.compared == self.inspected:
            self.compared = ""

    @guarded
    def compare(self, name: str) -> None:
        """Put ``name`` beside the candidate looked at; with itself there is nothing to compare."""
        self.compared = name if self.candidate(name) and name != self.inspected else ""

    @guarded
    def allow_accuracy(self, accuracy: float) -> None:
        """Set the least accuracy on the validation split, as a share, from which the drop follows.

        It is rounded to a millionth.
        """
        if self.baseline_accuracy is not None:
            self.accuracy_drop = min(1.0, max(0.0, round(self.baseline_accuracy - accuracy, 6)))

    @guarded
    def restore_limits(self) -> None:
        """Set the limits back to those of the sweep's own config."""
        config = self.record.config if self.record else None
        with self.hold_trait_notifications():
            self.accuracy_drop = config.max_accuracy_drop if config else 0.01
            self.gzip_bytes = config.max_bytes if config else None
            self.latency_ratio = config.max_latency_ratio if config else None

    def limits(self) -> Limits:
        """Return the limits as they are set."""
        return Limits(self.accuracy_drop, self.gzip_bytes, self.latency_ratio)

    def limit_fields(self) -> dict[str, Any]:
        """Return the limits as fields of a sweep's config."""
        return {
            "max_accuracy_drop": self.accuracy_drop,
            "max_bytes": self.gzip_bytes,
            "max_latency_ratio": self.latency_ratio,
        }

    @traitlets.observe("record")
    @guarded
    def _take(self, change: Any) -> None:
        self.compared = self.inspected = ""
        self.restore_limits()
        self._choose()
        self.inspect(self.choice.name or self.choice.nearest or "")

    @traitlets.observe(*_LIMITS)
    @guarded
    def _limit(self, change: Any) -> None:
        self._choose()

    def _choose(self) -> None:
        record = self.record
        self.choice = _NOTHING if record is None else choose(record.candidates, self.limits())
