"""The field `scheduler`: what the environment names, unless a config says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from agiwb.batch.matrix_config import MatrixConfig
from agiwb.compression.sweep_config import SweepConfig
from agiwb.config import Config
from agiwb.errors import ConfigError
from agiwb.training.search.config import SearchConfig

ADDRESS = "tls://scheduler.example:8786"
CONFIGS: list[tuple[type[Config], dict[str, Any]]] = [
    (SweepConfig, {}),
    (SearchConfig, {}),
    (MatrixConfig, {"matrix": {"notebook": "n.ipynb"}}),
]


@pytest.mark.parametrize(("kind", "fields"), CONFIGS)
def test_the_environment_is_the_default_of_each_scheduler(
    kind: type[Config], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    assert kind(**fields).model_dump()["scheduler"] is None
    monkeypatch.setenv("AGIWB_SCHEDULER", ADDRESS)
    assert kind(**fields).model_dump()["scheduler"] == ADDRESS
    for local in (None, "none"):
        stored = kind(**fields, scheduler=local).model_dump_json()
        assert kind.model_validate_json(stored).model_dump()["scheduler"] is None
    monkeypatch.setenv("AGIWB_SCHEDULER", "scheduler.example")
    with pytest.raises(ConfigError, match=r"scheduler.*tcp://HOST:8786"):
        kind(**fields)


def test_workers_of_one_kind_need_a_cluster():
    with pytest.raises(ConfigError, match="Give its `scheduler`"):
        SweepConfig(latency_on="edge")
    assert SweepConfig(latency_on="edge", scheduler=ADDRESS).latency_on == "edge"
