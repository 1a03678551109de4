"""Chance in words."""

from __future__ import annotations


def chance(p_value: float) -> str:
    """Return a p-value as it stands in a sentence: ``p = 0.003``."""
    return "p < 1e-12" if p_value < 1e-12 else f"p = {p_value:.1g}"
