"""The fresh process's own side: calls one function and writes what came of it.

Started as ``python -m agiwb.runtimes.fresh_process_child``, with the folder in which the request
lies, and the parent's process id; or forked by a nursery that has called ``have_tensorflow``.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from agiwb.crews.crew import Line
from agiwb.errors import AgiwbError, InputError
from agiwb.leaving import end_with
from agiwb.tensorflow_quietly import import_tensorflow, leave_out_extras_of_keras

REQUEST_FILE = "request.json"
REPLY_FILE = "reply.json"


class _WithoutTensorFlow(MetaPathFinder):
    """Hides TensorFlow and Keras, so that what should run without them is seen to."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in {"tensorflow", "keras"}:
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (this process works without TensorFlow)",
                name=fullname,
            )
        return None


def main(words: list[str]) -> None:
    """Answer the request in the folder without TensorFlow, in a process that did nothing before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    folder, parent = Path(words[0]), int(words[1])
    end_with(parent)
    sys.meta_path.insert(0, _WithoutTensorFlow())
    _answer(folder)
    # Without the native libraries' own end, which takes time: the memory is the system's anyway.
    os._exit(0)


def have_tensorflow() -> None:
    """Import TensorFlow and Keras, and what asking a model takes, without doing anything yet."""
    leave_out_extras_of_keras()
    import_tensorflow()
    for name in ("keras", "threadpoolctl", "agiwb.runtimes.asking", "agiwb.runtimes.runtime"):
        importlib.import_module(name)


def answer_in_fork(folder: Path, line: Line) -> None:
    """Answer the request in the folder, as the child of a nursery that has TensorFlow."""
    # The asking process' path may be older than its environment, which a new process would read.
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path += [place for place in named if place and place not in sys.path]
    _answer(folder)


def _answer(folder: Path) -> None:
    """Write what the function returns; what it raises is a reply too."""
    try:
        request = json.loads((folder / REQUEST_FILE).read_bytes())
        module, _, attribute = request["function"].partition(":")
        function = getattr(importlib.import_module(module), attribute)
        reply = json.dumps({"result": function(**request["arguments"])})
    except Exception as error:  # noqa: BLE001  whatever it is, the parent tells it
        reply = json.dumps({"error": told(error)})
    draft = folder / f"{REPLY_FILE}.draft"
    draft.write_text(reply, "utf-8")
    draft.rename(folder / REPLY_FILE)


def told(error: Exception) -> dict[str, Any]:
    """Return an error as JSON holds it; ``fresh_process.error_of`` makes one of that again."""
    if isinstance(error, AgiwbError):
        return {
            "problem": error.problem,
            "fix": error.fix,
            "is_input": isinstance(error, InputError),
        }
    sentence = " ".join(f"{type(error).__name__}: {error}".split())
    return {"problem": sentence, "fix": "", "is_input": False}


if __name__ == "__main__":
    main(sys.argv[1:])
