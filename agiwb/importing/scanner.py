"""Asking ModelAudit besides, a scanner of others' making, if one is installed.

It runs in an environment of its own, for its pins are not ours. Our own inspection never waits for
it: what it finds is refused besides.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from agiwb.errors import InputError
from agiwb.importing.limits import INSPECTION
from agiwb.importing.refusal import quoted, refused
from agiwb.importing.report import ScanReport
from agiwb.settings import Settings

_SEVERE = "critical"
_TOLD = frozenset({_SEVERE, "warning"})
_INCOMPLETE = 2
_QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE")


def scan_besides(path: Path, report: ScanReport) -> ScanReport:
    """Return ``report`` with what the scanner of AGIWB_MODEL_SCANNER says of ``path``.

    Raises:
        InputError: It finds something critical, or it cannot be run.
    """
    program = Settings().model_scanner
    if program is None:
        return report
    program = program.expanduser()
    version = _run(program, ["--version"]).stdout.strip().replace(", version", "")
    answer = _run(program, ["scan", "--format", "json", str(path)])
    try:
        said = json.loads(answer.stdout)
    except ValueError:
        raise _failed(program, answer.stderr or answer.stdout) from None
    told = tuple(_sentence(issue) for issue in said["issues"] if issue["severity"] in _TOLD)
    severe = [issue for issue in said["issues"] if issue["severity"] == _SEVERE]
    if severe:
        raise refused(path, f"{version} finds: {quoted(severe[0]['message'])}")
    if answer.returncode >= _INCOMPLETE:
        told = (*told, "It could not look into all of the model.")
    return report.model_copy(update={"scanner": version, "scanner_findings": told})


def _sentence(issue: dict[str, Any]) -> str:
    return f"{issue['severity']}: {' '.join(str(issue['message']).split())}"


def _run(program: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="agiwb-scan-") as home:
        try:
            return subprocess.run(
                [str(program), *words],
                capture_output=True,
                check=False,
                text=True,
                timeout=INSPECTION.seconds,
                stdin=subprocess.DEVNULL,
                env={**kept, **_QUIET, "HOME": home},
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise _failed(program, str(error)) from None


def _failed(program: Path, why: str) -> InputError:
    lines = why.strip().splitlines()
    return InputError(
        f"The scanner {program} could not be asked: {lines[-1] if lines else 'it said nothing'}",
        "Install it in an environment of its own, or unset AGIWB_MODEL_SCANNER.",
    )
