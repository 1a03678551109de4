"""What compression must show: sizes of real files at no detectable loss, and a sweep's own cost.

Each claim can be run alone: ``--claim deep``. All are made by the steps that users run, on a data
set that is embedded; ``--data`` takes another: a name, or an ``.npz``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
from collections.abc import Callable, Sequence

from compression_claims.claims import Claim
from compression_claims.deep import deep_compression
from compression_claims.distilled import distillation
from compression_claims.preserving import preserving
from compression_claims.sweeping import QUICK, sweeping

SEEDS, FEWER_SEEDS = 5, 3
"""Those of the networks of Deep Compression, and of what takes longer."""

Measure = Callable[[str, Sequence[int]], list[Claim]]

CLAIMS: dict[str, Measure] = {
    "lenet_300_100": lambda data, seeds: deep_compression(data, seeds, "lenet_300_100"),
    "lenet_5": lambda data, seeds: deep_compression(data, seeds, "lenet_5"),
    "distillation": lambda data, seeds: distillation(data, seeds[:FEWER_SEEDS]),
    "preserving": lambda data, seeds: preserving(data, seeds[:FEWER_SEEDS]),
    "sweep": lambda _data, seeds: sweeping(*[QUICK] * (len(seeds) == 1)),
}


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist5k", help="data set (default mnist5k)")
    parser.add_argument("--claim", choices=CLAIMS, action="append", help="only this; repeatable")
    parser.add_argument(
        "--quick", action="store_true", help="one seed instead of five, and a sweep of ten"
    )
    options = parser.parse_args()
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    seeds = range(1 if options.quick else SEEDS)
    claims = [
        claim for name in options.claim or CLAIMS for claim in CLAIMS[name](options.data, seeds)
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
