"""``agiwb``, or ``python -m agiwb``: the command line as a process."""

from __future__ import annotations

from typing import NoReturn

from agiwb.cli import main
from agiwb.leaving import leave
from agiwb.tensorflow_quietly import leave_out_extras_of_keras


def run() -> NoReturn:
    """Carry out the command line's words and end the process."""
    leave_out_extras_of_keras()
    try:
        code = main()
    except BrokenPipeError:  # as in `agiwb jobs | head`
        code = 0
    leave(code)


if __name__ == "__main__":
    run()
