"""``agiwb lab`` and ``agiwb publish``: JupyterLab on the notebooks, Voila on the reports."""

from __future__ import annotations

from pathlib import Path

from agiwb.errors import ConfigError

_STATIC = "--static"
_HELP = {"-h", "--help"}
_HELP_OF_LAB = """usage: agiwb lab [JupyterLab's flags]

{summary}

  --port N      port to listen on; by default 8888, or the next free one
  --no-browser  print the address, and open nothing

Every other flag is JupyterLab's own: `python -m jupyterlab --help` lists them."""
_HELP_OF_PUBLISH = """usage: agiwb publish [Voila's flags]
       agiwb publish --static FOLDER

{summary}

  --static FOLDER  write each report there as one HTML file, and serve nothing
  --port N         port to listen on; by default 8866
  --no-browser     print the address with the token viewers need, and open nothing

Every other flag is Voila's own: `python -m voila --help` lists them."""


def lab(words: list[str], summary: str) -> int:
    """Become JupyterLab."""
    from agiwb.batch.jupyter import open_lab

    if not _HELP & set(words[:1]):
        open_lab(words)
    print(_HELP_OF_LAB.format(summary=summary))
    return 0


def publish(words: list[str], summary: str) -> int:
    """Become Voila; with ``--static FOLDER`` write the reports as HTML files instead."""
    from agiwb.batch.reports import serve_reports, write_reports

    if _HELP & set(words[:1]):
        print(_HELP_OF_PUBLISH.format(summary=summary))
        return 0
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
