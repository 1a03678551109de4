"""What more workers and more machines cost beside their work.

Each claim can be run alone: ``--claim tiny_tasks``. Everything runs on this machine, where two
workers have two cores at most; what is compared is measured within one run.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
from collections.abc import Callable

from compression_claims.claims import Claim
from scale_claims.efficiency import matrices, sweeps
from scale_claims.plan import plan
from scale_claims.rollup_merge import rollup_merge
from scale_claims.tiny_tasks import tiny_tasks

Measure = Callable[[bool], list[Claim]]
"""Takes whether it shall be quick."""

CLAIMS: dict[str, Measure] = {
    "tiny_tasks": lambda quick: tiny_tasks(quick=quick),
    "sweep": lambda quick: sweeps(quick=quick),
    "matrix": lambda quick: matrices(quick=quick),
    "rollup_merge": lambda quick: rollup_merge(quick=quick),
    "plan": lambda quick: plan(quick=quick),
}


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claim", choices=CLAIMS, action="append", help="only this; repeatable")
    parser.add_argument("--quick", action="store_true", help="less work, and one round")
    options = parser.parse_args()
    claims = [claim for name in options.claim or CLAIMS for claim in CLAIMS[name](options.quick)]
    machine = f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"
    print(json.dumps({"claims": claims, "machine": machine}))


if __name__ == "__main__":
    main()
