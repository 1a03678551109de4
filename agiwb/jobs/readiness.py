"""Getting a process ready from which others are forked: what they need is there already."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable

from agiwb.runs.provenance import code_digest, package_versions


def prepare(needed: Iterable[str], if_installed: Iterable[str] = ()) -> None:
    """Import modules, and look up once what is the same for all forks: versions and own code."""
    for name in needed:
        importlib.import_module(name)
    for name in if_installed:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Of what is imported, not of what lies there once there is work.
    code_digest()
    package_versions()
