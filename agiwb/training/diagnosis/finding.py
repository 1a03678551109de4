"""A finding: what is wrong, the numbers that show it, and what to try."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["problem", "hint"]
"""A problem spoils the model; a hint is worth a look."""


class Curve(BaseModel):
    """One line of a picture: points in the order they are to be joined."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Evidence(BaseModel):
    """The numbers behind a finding, in the form a picture of them has: curves or bars.

    Attributes:
        x_label: Name of the horizontal axis, with its unit.
        y_label: Name of the vertical axis, or of the bars' length, with its unit.
        curves: Lines over the horizontal axis.
        bars: Name and length of each bar, from the top.
        levels: Name and height of reference values that the curves or bars are to be held against.
        log_scale: Whether the values span orders of magnitude.
        rows: The rows of the data that the finding is about, worst first, by column.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    x_label: str = ""
    y_label: str
    curves: tuple[Curve, ...] = ()
    bars: dict[str, float] = {}
    levels: dict[str, float] = {}
    log_scale: bool = False
    rows: tuple[dict[str, int | float | str], ...] = ()


class Finding(BaseModel):
    """Something about a training that its user should know."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    rule: str
    """Identifier of the rule that found it, as ``over_fitting``."""
    severity: Severity
    what: str
    """What is wrong, in plain words, with the numbers."""
    evidence: Evidence
    advice: str
    """What to try: fields of the config with values."""

    def sentence(self) -> str:
        """Return the finding as a line that can be shown by itself."""
        return f"{self.severity}, {self.rule.replace('_', ' ')}: {self.what} {self.advice}"
