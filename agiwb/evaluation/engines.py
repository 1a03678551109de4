"""The two engines: TFMA's metrics over whole arrays, or through TFMA's own Beam pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from agiwb.evaluation.beam_pipeline import BeamPlace, run_pipeline
from agiwb.evaluation.fast.examples import Columns
from agiwb.evaluation.tfma_engine import import_tfma

Engine = Literal["fast", "tfma"]


def run_engine(
    engine: Engine,
    columns: Columns,
    eval_config: Any,
    folder: Path,
    place: BeamPlace | None = None,
) -> int:
    """Write what ``eval_config`` asks for as TFMA's files, and return how many rows were left out.

    ``tfma.load_eval_result(str(folder))`` and ``tfma.load_validation_result(str(folder))`` open
    them, there or wherever the folder is moved.

    Args:
        engine: ``fast`` leaves out rows with a NaN or an infinity, ``tfma`` fails on them.
        columns: By the names that the config has for them.
        eval_config: TFMA's ``EvalConfig``.
        folder: Is made if it is not there.
        place: Where Beam works, for the engine ``tfma``; by default in this process.

    Raises:
        ConfigError: The config names what is not there, or Beam knows no such option.
        WorkError: TFMA fails.
    """
    import_tfma()
    from agiwb.evaluation.fast.engine import evaluate_columns, with_defaults
    from agiwb.evaluation.fast.result_files import write_tfma_files

    if engine == "tfma":
        run_pipeline(columns, with_defaults(eval_config), folder, place)
        return 0
    found = evaluate_columns([columns], eval_config)
    write_tfma_files(found, folder)
    return found.excluded.get("rows", 0)
