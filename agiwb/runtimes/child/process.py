"""The child process: loads one model, tells its signatures, and answers until nobody asks.

Started as ``python -m agiwb.runtimes.child.process``, with the descriptor of the connection, the
parent's process id, the model's format and path, and the number of threads.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from agiwb.artifacts.manifest import Format
from agiwb.errors import AgiwbError, InputError
from agiwb.leaving import end_with
from agiwb.runtimes.child.frames import Header, receive, send
from agiwb.runtimes.functions import Functions, load_functions
from agiwb.runtimes.runtime import Tensors
from agiwb.tensorflow_quietly import leave_out_extras_of_keras

_AT_ONCE = 8
"""Requests that run side by side; what they compute shares TensorFlow's threads."""


def main(words: list[str]) -> None:
    """Serve the model until the parent closes the connection, or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends us
    descriptor, parent, kind, path, threads = words
    end_with(int(parent))
    leave_out_extras_of_keras()
    connection = socket.socket(fileno=int(descriptor))
    sending = threading.Lock()
    try:
        functions = load_functions(cast("Format", kind), Path(path), int(threads))
    except Exception as error:  # noqa: BLE001  whatever it is, the parent tells it
        send(connection, {"refused": _told(error)}, {})
        os._exit(1)
    send(connection, _introduction(functions), {})
    pool = ThreadPoolExecutor(_AT_ONCE, "agiwb-child")
    try:
        while (frame := receive(connection)) is not None:
            pool.submit(_answer, functions, connection, sending, *frame)
    except OSError:
        pass  # the parent was killed; there is nobody to tell
    # Without TensorFlow's own end, which takes seconds: the memory is the system's either way.
    os._exit(0)


def _introduction(functions: Functions) -> Header:
    return {
        "checks_shapes": functions.checks_shapes,
        "signatures": {
            name: {"signature": named.signature.model_dump(), "method": named.method}
            for name, named in functions.signatures.items()
        },
    }


def _answer(
    functions: Functions,
    connection: socket.socket,
    sending: threading.Lock,
    header: Header,
    inputs: Tensors,
) -> None:
    reply: Header = {"id": header["id"]}
    outputs: Tensors = {}
    try:
        outputs = functions.run(header["signature"], inputs, header["outputs"])
    except Exception as error:  # noqa: BLE001  one request's error must not end the others
        reply["error"] = _told(error)
    try:
        with sending:
            send(connection, reply, outputs)
    except OSError:
        os._exit(1)


def _told(error: Exception) -> Header:
    if isinstance(error, AgiwbError):
        return {
            "problem": error.problem,
            "fix": error.fix,
            "is_input": isinstance(error, InputError),
        }
    problem = f"The model failed: {type(error).__name__}: {' '.join(str(error).split())}"
    return {"problem": problem, "fix": "See the server's log.", "is_input": False}


if __name__ == "__main__":
    main(sys.argv[1:])
