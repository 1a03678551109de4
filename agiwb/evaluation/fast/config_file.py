"""TFMA's ``EvalConfig`` from a file, as text proto or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.errors import ConfigError


def read_eval_config(path: Path) -> Any:
    """Return the ``EvalConfig`` in a file: JSON if its name ends so, text proto otherwise.

    The ``eval_config.json`` that TFMA writes beside its results is taken too.

    Raises:
        ConfigError: There is no such file, or it holds something else.
    """
    from google.protobuf import json_format, text_format
    from tensorflow_model_analysis.proto import config_pb2

    text = require_file(path).read_text("utf-8", errors="replace")
    try:
        if path.suffix != ".json":
            return text_format.Parse(text, config_pb2.EvalConfig())
        if '"evalConfig"' in text:
            return json_format.Parse(text, config_pb2.EvalRun()).eval_config
        return json_format.Parse(text, config_pb2.EvalConfig())
    except (text_format.ParseError, json_format.ParseError) as error:
        raise ConfigError(
            f"`eval_config`: {path.name} is not an EvalConfig of TFMA: {error}.",
            "Its fields are those of tensorflow_model_analysis/proto/config.proto.",
        ) from None


def require_file(path: Path) -> Path:
    """Return ``path``; raise ConfigError if it is no file."""
    if path.is_file():
        return path
    raise ConfigError(
        f"`eval_config`: there is no file {path}.",
        "Give the path of TFMA's EvalConfig as text proto (`.pbtxt`) or JSON (`.json`).",
    )
