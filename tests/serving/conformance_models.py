"""The models that the conformance cases are put to, and the ModelServerConfig that serves them.

As a script, ``python -m tests.serving.conformance_models FOLDER`` writes all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.serving.onnx_models import write_echo, write_half_plus_two, write_two_by_two
from tests.serving.saved_models import write_saved_half_plus_two

_ENTRY = 'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}'
_TWO_VERSIONS = """model_version_policy { specific { versions: 123 versions: 124 } }
    version_labels { key: "stable" value: 123 } version_labels { key: "canary" value: 124 }"""


def write_onnx_models(folder: Path) -> dict[str, str]:
    """Write the models that need no TensorFlow; return what their entries say besides the path."""
    write_half_plus_two(folder / "half_plus_two" / "00000123")
    write_half_plus_two(folder / "half_plus_two" / "00000124", addend=3.0)
    write_two_by_two(folder / "two_by_two" / "1")
    write_echo(folder / "echo" / "1")
    return {"half_plus_two": _TWO_VERSIONS, "two_by_two": "", "echo": ""}


def write_tensorflow_models(folder: Path) -> dict[str, str]:
    """Write the SavedModel; return what its entry says besides the path."""
    (folder / "examples").mkdir(parents=True)
    write_saved_half_plus_two(folder / "examples" / "1")
    return {"examples": ""}


def write_config(folder: Path, models: dict[str, str]) -> Path:
    """Return the file that lists ``models`` of ``folder`` for a server."""
    entries = [
        _ENTRY.format(name=name, path=folder / name, more=more) for name, more in models.items()
    ]
    path = folder / "models.config"
    path.write_text(f"model_config_list {{ {' '.join(entries)} }}", "utf-8")
    return path


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    print(write_config(root, write_onnx_models(root) | write_tensorflow_models(root)))
