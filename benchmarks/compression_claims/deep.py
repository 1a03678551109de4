"""Deep Compression's networks in bytes of a real file, and what a paired test sees of the loss.

Han et al. 2016 (arXiv:1510.00149), table 1: LeNet-300-100 40 times smaller, LeNet-5 39 times. Each
is a recipe of the sweep, ``prune+cluster``. The file is agiwb's packed container, architecture and
framing included; it is read back, and each weight must equal that of the candidate's Keras model.
What it is smaller than are the weights in 32-bit floats, without any framing, as in the paper.

The seeds share one test split: pooled, its examples count once for each, so that McNemar's test is
stricter than it should be. A gain is no loss, however certain it is: its p counts as 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compression_claims.claims import Claim, at_least
from compression_claims.workspaces import own_workspace, swept, trained

if TYPE_CHECKING:
    from agiwb import SweepRecord

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Network:
    """A network, how it is compressed, and how many times smaller it must become."""

    family: str
    epochs: int
    recipe: str
    fine_tune_epochs: int
    learning_rate: float
    bar: float


NETWORKS = (
    Network("lenet_300_100", 20, "prune_92:scope=global+cluster_16", 16, 0.001, 40.0),
    Network("lenet_5", 8, "prune_93:scope=global+cluster_16", 6, 0.001, 39.0),
)


@dataclass(frozen=True)
class Compressed:
    """One network with one seed: its sizes, and test examples worse and better than before."""

    ratio: float
    worse: int
    better: int


def deep_compression(dataset: str, seeds: Sequence[int], only: str | None = None) -> list[Claim]:
    """Return the claims of both networks, or of the family ``only``."""
    claims = []
    for network in NETWORKS:
        if only not in {None, network.family}:
            continue
        made = [_compressed(network, dataset, seed) for seed in seeds]
        ratio = min(each.ratio for each in made)
        claims.append(
            at_least(f"{network.family}: bytes, times fewer, worst seed", ratio, network.bar)
        )
        alone = min(_loss_p_value(each.worse, each.better) for each in made)
        claims.append(
            at_least(
                f"{network.family}: McNemar's p of a loss, least of {len(made)} seeds (Bonferroni)",
                min(1.0, alone * len(made)), SIGNIFICANT,
            )
        )  # fmt: skip
        worse, better = sum(each.worse for each in made), sum(each.better for each in made)
        claims.append(
            at_least(
                f"{network.family}: McNemar's p of a loss, pooled ({worse} worse, {better} better)",
                _loss_p_value(worse, better), SIGNIFICANT,
            )
        )  # fmt: skip
    return claims


def _loss_p_value(worse: int, better: int) -> float:
    """Return McNemar's two-sided p if there is a loss; a gain is none, however certain it is."""
    from agiwb.statistics import mcnemar_p_value

    return mcnemar_p_value(worse, better) if worse > better else 1.0


def _compressed(network: Network, dataset: str, seed: int) -> Compressed:
    with own_workspace():
        model = trained(
            dataset=dataset, architecture=network.family, epochs=network.epochs, batch_size=64,
            learning_rate=0.001, schedule="cosine", seed=seed,
        )  # fmt: skip
        record = swept(
            model, recipes=(network.recipe,), fine_tune_epochs=network.fine_tune_epochs,
            batch_size=64, learning_rate=network.learning_rate, seed=seed,
        )  # fmt: skip
        candidate = record.candidate(network.recipe)
        measured = candidate.measured
        if measured is None:
            raise RuntimeError(f"{network.recipe} of {network.family}: {candidate.reason}")
        plain, packed = _weigh_file(record, network.recipe)
        made = Compressed(plain / packed, measured.worse, measured.better)
        before = record.candidate("baseline").measured
        print(
            f"{network.family:<14} seed {seed}  {plain:,} -> {packed:,} bytes, {made.ratio:.1f} x; "
            f"test errors {1 - before.test_accuracy:.2%} -> {1 - measured.test_accuracy:.2%} "
            f"({made.worse} worse, {made.better} better)",
            flush=True,
        )
        return made


def _weigh_file(record: SweepRecord, recipe: str) -> tuple[int, int]:
    """Return the bytes of the plain weights and of the packed file, which is read back."""
    import numpy as np

    from agiwb.compression.packed.model import pack, unpack_model
    from agiwb.models.loading import load_keras_model

    model = load_keras_model(record.file(f"{recipe}/model.keras"))
    path: Path = record.file(f"{recipe}/model.agwp")
    path.write_bytes(pack(model))
    again = unpack_model(path.read_bytes())
    for kept, weights in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weights)
    plain = sum(weights.nbytes for weights in model.get_weights())
    return plain, path.stat().st_size
