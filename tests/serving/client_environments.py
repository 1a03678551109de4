"""Python environments with other people's clients, each of its own and far from this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def make_environment(folder: Path, *packages: str, dependencies: bool) -> Path:
    """Return the interpreter of a new environment with ``packages``, or skip without network."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=60
    )
    python = folder / "bin" / "python"
    alone = [] if dependencies else ["--no-deps"]
    installed = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, *alone, *packages],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if installed.returncode and not os.environ.get("CI"):
        pytest.skip(f"{packages[0]} cannot be installed: {installed.stderr.strip()[-200:]}")
    assert installed.returncode == 0, installed.stderr
    return python


def told_by(python: Path, script: str, *arguments: object) -> dict:
    ran = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
