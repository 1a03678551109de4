"""Two real workers on loopback, each a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb import TrainConfig, train
from agiwb.errors import ConfigError

pytestmark = pytest.mark.slow

# No dropout: each worker would draw its own. Batches that two workers can halve.
FLAGS = ["--architecture", "mlp", "--epochs", "2", "--batch-size", "16", "--dropout", "0"]


@pytest.fixture
def even_digits(tmp_path: Path) -> Path:
    import numpy as np

    from agiwb.datasets.registry import load_dataset

    data = load_dataset("digits")
    arrays = {}
    for name, split, count in (
        ("train", data.train, 1152), ("validation", data.validation, 256), ("test", data.test, 256)
    ):  # fmt: skip
        arrays |= {f"x_{name}": split.features[:count], f"y_{name}": split.labels[:count]}
    np.savez(tmp_path / "even.npz", **arrays)
    return tmp_path / "even.npz"


def free_ports(count: int) -> list[int]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in listening]
    for server in listening:
        server.close()
    return ports


def test_two_workers_give_the_loss_of_one(workspace: Path, even_digits: Path) -> None:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = [
        subprocess.Popen(
            [
                sys.executable, "-m", "agiwb", "train", "--dataset", str(even_digits), *FLAGS,
                "--strategy", "multi_worker", "--json",
            ],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                ),
            },
        )
        for index in range(2)
    ]  # fmt: skip
    try:
        answers = [json.loads(worker.communicate(timeout=240)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    alone = train(
        TrainConfig(
            dataset=str(even_digits), architecture="mlp", epochs=2, batch_size=16, dropout=0
        )
    )
    for answer in answers:
        for name in ("train_loss", "validation_loss", "test_loss", "test_accuracy"):
            assert answer["metrics"][name] == pytest.approx(alone.metrics[name], rel=1e-4), name
    from agiwb.runs.store import open_store

    store = open_store()
    assert store.registered_run("even-mlp", "1") == answers[0]["run"]["id"]
    assert store.registered_run("even-mlp", "2") == alone.run.id


@pytest.mark.parametrize("text", ["", "{", '{"cluster": {"worker": []}, "task": {"index": 0}}'])
def test_a_missing_cluster_is_explained(
    text: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match=r"multi_worker reads TF_CONFIG.*Set it on each worker"):
        train(TrainConfig(strategy="multi_worker"))
