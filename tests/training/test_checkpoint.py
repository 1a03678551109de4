from __future__ import annotations

from pathlib import Path

import pytest

from agiwb.errors import WorkError
from agiwb.training.config import TrainConfig
from agiwb.training.fit import open_trial

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not an archive"])
def test_a_damaged_checkpoint_counts_for_nothing(content: bytes, tmp_path: Path) -> None:
    from agiwb.training.checkpoint import epochs_done

    path = tmp_path / "epoch.npz"
    path.write_bytes(content)
    assert epochs_done(path, 6) == 0
    assert epochs_done(tmp_path / "none.npz", 6) == 0


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    from tests.training.tiny_data import made_up

    data, path = made_up("classification"), tmp_path / "epoch.npz"
    open_trial(TrainConfig(architecture="mlp", epochs=1, units=8), data).fit(checkpoint=path)
    other = open_trial(TrainConfig(architecture="mlp", epochs=2, units=16), data)
    with pytest.raises(WorkError, match="cannot be used"):
        other.fit(checkpoint=path)
