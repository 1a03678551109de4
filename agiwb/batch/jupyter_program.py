"""A program of Jupyter's in this process, started without two seconds of work that none needs.

``python -m agiwb.batch.jupyter_program MODULE WORDS…`` does what ``python -m MODULE WORDS…`` does.
"""

from __future__ import annotations

import runpy
import sys

from agiwb.batch.nbformat_quickly import import_nbformat


def main() -> None:
    """Be the program that the first word names."""
    import_nbformat()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
