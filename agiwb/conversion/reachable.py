"""Which formats can be made from which: a conversion that loses something has no way back."""

from __future__ import annotations

from agiwb.artifacts.manifest import FORMATS, Format
from agiwb.errors import InputError

_ONLY_FROM_KERAS: tuple[Format, ...] = ("keras", "h5")
_FROM_SAVED_MODEL = tuple(kind for kind in FORMATS if kind not in _ONLY_FROM_KERAS)

REACHABLE: dict[Format, tuple[Format, ...]] = {
    "keras": FORMATS,
    "h5": FORMATS,
    "saved_model": _FROM_SAVED_MODEL,
    "onnx": ("onnx_float16", "openvino"),
    "litert": ("onnx", "onnx_float16", "openvino"),
}
"""The formats that can be made from each; those that are not named here are an end."""


def reachable(source: Format) -> tuple[Format, ...]:
    """Return the formats that an artifact of the format ``source`` can be converted to."""
    return REACHABLE.get(source, ())


def require_reachable(source: Format, wanted: Format) -> None:
    """Raise InputError that says which source to go back to unless ``wanted`` can be made."""
    if wanted in reachable(source):
        return
    ways = [kind for kind in REACHABLE if wanted in REACHABLE[kind]]
    made = ", ".join(reachable(source)) or "no other format"
    raise InputError(
        f"{wanted} cannot be made from {source}, from which there is a way to {made}.",
        f"Go back to what the {source} file was made from: {' or '.join(ways)} can be converted.",
    )
