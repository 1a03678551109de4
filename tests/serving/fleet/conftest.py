from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.serving.fleet.fleet_servers import HAPROXY, publish


@pytest.fixture
def half(tmp_path):
    base_path = tmp_path / "half"
    base_path.mkdir()
    publish(base_path, 1)
    return base_path


@pytest.fixture
def haproxy():
    """Debian's load balancer; without it the test is skipped, but never in CI."""
    if not Path(HAPROXY).exists():
        if os.environ.get("CI"):
            pytest.fail("haproxy is missing: apt-get install haproxy")
        pytest.skip("haproxy is not installed")
