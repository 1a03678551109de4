"""A fleet behind a real load balancer: new versions roll through it, and servers come and go."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.serving.fleet.fleet_servers import Clients, fleet, publish

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("haproxy")]


def test_versions_roll_through_while_a_server_is_drained_and_restarted(half, tmp_path):
    by_key = "hash req.hdr(X-Sticky-Key)"
    with fleet(half, tmp_path, servers=3, balance=by_key) as servers, Clients(servers) as clients:
        publish(half, 2)
        servers.wait_until_all_answer_with(2)
        publish(half, 3)
        servers.stop(1)  # in the middle of the swap: drained, and waited for by nobody
        servers.wait_until_all_answer_with(3)
        servers.start(1)
        publish(half, 4)
        servers.wait_until_ready(1)
        servers.wait_until_all_answer_with(4)
        time.sleep(1)  # the balancer has the third server back
    assert clients.failed == []
    assert clients.requests > 3000
    assert clients.steps_back() == {}
    assert {versions[-1] for versions in clients.seen.values()} == {4}


def test_no_old_version_follows_a_new_one_even_where_any_server_may_answer(half, tmp_path):
    with (
        fleet(half, tmp_path, servers=2, balance="roundrobin", words=["--workers=2"]) as servers,
        Clients(servers) as clients,
    ):
        publish(half, 2)
        servers.wait_until_all_answer_with(2)
        (half / "2").rename(half.parent / "withdrawn")  # a roll-back: all return at one moment
        servers.wait_until_all_answer_with(1)
        time.sleep(0.3)
    assert clients.failed == []
    for versions in clients.seen.values():
        changes = [
            (before, after) for before, after in itertools.pairwise(versions) if before != after
        ]
        assert changes == [(1, 2), (2, 1)]
