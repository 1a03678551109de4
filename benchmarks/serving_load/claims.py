"""Claims: what a benchmark ends with, each a value and the bar that it has to meet."""

from __future__ import annotations


def at_least(name: str, value: float | None, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` reaches ``bar``; None was not measured."""
    return _claim(name, value, bar, holds=value is not None and value >= bar)


def at_most(name: str, value: float | None, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``; None was not measured."""
    return _claim(name, value, bar, holds=value is not None and value <= bar)


def _claim(name: str, value: float | None, bar: float, *, holds: bool) -> dict[str, object]:
    shown = None if value is None else round(value, 4)
    return {"name": name, "value": shown, "bar": bar, "holds": holds}
