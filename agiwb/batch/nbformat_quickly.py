"""nbformat, imported without two seconds of work that no notebook needs."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_GRAMMAR = "rfc3987_syntax"
"""Compiles the grammar of internationalised addresses as it is imported. jsonschema takes it where
it is found, to check the format `iri`, of which notebooks have none."""


def import_nbformat() -> ModuleType:
    """Return nbformat; call this before anything else imports it, or jsonschema."""
    is_hidden = _GRAMMAR not in sys.modules
    if is_hidden:
        sys.modules[_GRAMMAR] = None  # type: ignore[assignment]  # an import of it now fails
    try:
        return importlib.import_module("nbformat")
    finally:
        if is_hidden:
            del sys.modules[_GRAMMAR]
