"""What of a machine decides how long an inference takes."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from agiwb.compression.advisor import Family, Processor, parse_processor

_SHORT = 12


@dataclass(frozen=True)
class Hardware:
    """A kind of machine: latencies that were measured on two kinds do not compare.

    Attributes:
        name: The processor, as it calls itself.
        family: Its instruction set.
        abilities: What it is capable of, by the Linux kernel's names, in order.
        cores: How many the machine has, and how many of them this process may use.
        system: The operating system with its version.
    """

    name: str
    family: Family
    abilities: tuple[str, ...]
    cores: tuple[int, int]
    system: str

    @property
    def fingerprint(self) -> str:
        """Digest of all of it: equal ones mean the same kind."""
        told = repr(sorted(asdict(self).items()))
        return hashlib.sha256(told.encode()).hexdigest()[:_SHORT]

    @property
    def processor(self) -> Processor:
        """What the advice on 8-bit arithmetic goes by."""
        return Processor(self.family, frozenset(self.abilities))

    def __str__(self) -> str:
        return f"{self.name}, {self.cores[1]} of {self.cores[0]} cores, {self.system}"


def read_hardware(cpuinfo: Path = Path("/proc/cpuinfo")) -> Hardware:
    """Return this machine's kind."""
    try:
        described = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        described = ""
    model = re.search(r"^model name\s*:\s*(.*)$", described, re.MULTILINE)
    processor = parse_processor(described, platform.machine())
    return Hardware(
        name=model[1] if model else platform.processor() or platform.machine(),
        family=processor.family,
        abilities=tuple(sorted(processor.flags)),
        cores=(os.cpu_count() or 1, len(os.sched_getaffinity(0))),
        system=platform.platform(),
    )
