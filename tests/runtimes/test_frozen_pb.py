"""Frozen graphs, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb.errors import NotFoundError
from agiwb.runtimes.runtime import open_runtime
from tests.conformance.runtime import RuntimeConformance


class TestFrozenGraph(RuntimeConformance):
    format = "frozen_pb"


@pytest.mark.slow
def test_an_empty_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "frozen.pb").write_bytes(b"")  # protobuf reads nothing as a graph without nodes
    with pytest.raises(NotFoundError, match="0 inputs and 0 outputs"):
        open_runtime(tmp_path)
