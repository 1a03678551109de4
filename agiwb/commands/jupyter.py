"""``agiwb lab`` and ``agiwb publish``: JupyterLab on the notebooks, Voila on the reports."""

from __future__ import annotations

from agiwb.batch.jupyter import open_lab, publish_reports


def lab(words: list[str], summary: str) -> int:
    """Become JupyterLab."""
    open_lab(words)


def publish(words: list[str], summary: str) -> int:
    """Become Voila."""
    publish_reports(words)
