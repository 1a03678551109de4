"""``agiwb lab`` and ``agiwb publish``: JupyterLab on the notebooks, Voila on the reports."""

from __future__ import annotations

from pathlib import Path

from agiwb.errors import ConfigError

_STATIC = "--static"


def lab(words: list[str], summary: str) -> int:
    """Become JupyterLab."""
    from agiwb.batch.jupyter import open_lab

    open_lab(words)


def publish(words: list[str], summary: str) -> int:
    """Become Voila; with ``--static FOLDER`` write the reports as HTML files instead."""
    from agiwb.batch.reports import serve_reports, write_reports

    given = [part for word in words for part in word.split("=", 1)]
    if _STATIC not in given:
        serve_reports(words)
    if len(given) != 2 or given[0] != _STATIC or not given[1]:
        raise ConfigError(
            f"`agiwb publish {_STATIC}` takes a folder, and nothing else.",
            f"For example: agiwb publish {_STATIC} site",
        )
    for path in write_reports(Path(given[1])):
        print(path)
    return 0
