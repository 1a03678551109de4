"""Latencies that were measured before: of just these files, on just this hardware.

Candidates are measured in turn, in one run; a report is good only as a whole, for a set of files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from agiwb.compression.hardware import read_hardware
from agiwb.compression.timing import LatencyProtocol, TimingReport, measure_latency
from agiwb.compression.trials.assignment import candidate_code, decisive_packages
from agiwb.compression.trials.cache import Cache
from agiwb.runs.files import sha256_of_file

_REPORT_FILE = "latencies.json"


@dataclasses.dataclass(frozen=True)
class RememberedLatency:
    """Measures latency, or takes the report of an earlier measurement that was the same.

    Attributes:
        cache: Where reports are kept.
        say: Told if a report is taken.
    """

    cache: Cache
    say: Callable[[str], None]

    def __call__(
        self,
        files: Mapping[str, Path],
        baseline: str,
        examples: NDArray[Any],
        protocol: LatencyProtocol,
        progress: Callable[[int, int], None],
    ) -> TimingReport:
        """Return the report; see ``timing.measure_latency``."""
        adapter = TypeAdapter(TimingReport)
        key = _key(files, baseline, examples, protocol)
        if (found := self.cache.find(key)) is not None:
            try:
                known = adapter.validate_json(found.file(_REPORT_FILE).read_bytes())
            except (OSError, ValidationError):
                pass  # of another version of the report: measured again
            else:
                self.say("Latencies of these very files were measured on this hardware before.")
                return known
        report = measure_latency(files, baseline, examples, protocol, progress)
        with self.cache.draft() as draft:
            (draft / _REPORT_FILE).write_bytes(adapter.dump_json(report))
            self.cache.keep(key, draft, {"hardware": str(report.hardware)})
        return report


def _key(
    files: Mapping[str, Path], baseline: str, examples: NDArray[Any], protocol: LatencyProtocol
) -> str:
    decisive = {
        "files": {name: sha256_of_file(path) for name, path in sorted(files.items())},
        "baseline": baseline,
        "examples": hashlib.sha256(examples.tobytes()).hexdigest(),
        "protocol": dataclasses.asdict(protocol),
        "hardware": [dataclasses.asdict(read_hardware()), platform.node()],
        "packages": decisive_packages(),
        "python": platform.python_version(),
        "code": candidate_code(),
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return f"latencies-{digest}"
