"""Several servers log what one would have: in one folder, or each in a place of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agiwb.errors import InputError
from agiwb.monitoring.log import read_predictions, read_rollups, roll
from agiwb.monitoring.log.gathering import gather, main
from agiwb.monitoring.log.profile import profiles_in, save_profile
from agiwb.monitoring.log.rolling import rollups_of
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.places import segments_in
from tests.serving.onnx_models import write_mlp
from tests.serving.served import asking

REQUESTS, SERVERS = 240, 3


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The same requests, answered by one server, by three on one folder, and by three apart."""
    place = tmp_path_factory.mktemp("logs")
    write_mlp(place / "m" / "1", features=4, hidden=8, classes=3)
    values = np.random.default_rng(0).normal(size=(REQUESTS, 2, 4)).round(4)

    def ask(folder, requests):
        with asking(place / "m", log_folder=folder) as asked:
            for number in requests:
                answer = asked(
                    "POST",
                    "/v1/models/m:predict",
                    json.dumps({"instances": values[number].tolist()}),
                    {"X-Request-Id": f"request-{number}"},
                )
                assert answer.status == 200

    ask(place / "one", range(REQUESTS))
    compact(place / "one" / "m")
    roll(place / "one" / "m")
    profile = profiles_in(rollups_of(place / "one" / "m"))[0]
    for server in range(SERVERS):
        # One after the other only because it is one process: their segments are all there at once.
        ask(place / "shared", range(server, REQUESTS, SERVERS))
        ask(place / f"apart_{server}", range(server, REQUESTS, SERVERS))
    assert len(segments_in(place / "shared" / "m")) == SERVERS
    for name in ("shared", "apart_0"):  # bins are those of the profile that is there first
        rollups_of(place / name / "m").mkdir()
        save_profile(rollups_of(place / name / "m"), profile)
    compact(place / "shared" / "m")
    roll(place / "shared" / "m")
    apart = [place / f"apart_{server}" / "m" for server in range(SERVERS)]
    assert gather(apart, place / "gathered" / "m").parts == SERVERS
    return place


@pytest.mark.parametrize("several", ["shared", "gathered"])
def test_every_row_is_there_once(logs, several):
    one, other = read_predictions(logs / "one" / "m"), read_predictions(logs / several / "m")
    assert sorted(one.request_ids) == sorted(other.request_ids)
    assert len(other) == REQUESTS
    places = [np.lexsort(found.window().features.T) for found in (one, other)]
    for name in ("features", "probabilities"):
        first, second = (
            getattr(found.window(), name)[order]
            for found, order in zip((one, other), places, strict=True)
        )
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("several", ["shared", "gathered"])
def test_rollups_are_those_of_one_server(logs, several):
    one = read_rollups(logs / "one" / "m", live=False)
    other = read_rollups(logs / several / "m", live=False)
    assert other.profile.identifier == one.profile.identifier
    assert other.rows == one.rows == 2 * REQUESTS
    measured = {"latency_ms"}  # the one feature that is not the requests' own
    totals, others = one.totals(), other.totals()
    assert totals.keys() == others.keys() > measured
    assert all(others[name] == totals[name] for name in totals.keys() - measured)
    first, second = one.sketch(), other.sketch()
    kept = [place for place, name in enumerate(first.bins.names) if name not in measured]
    np.testing.assert_array_equal(first.counts[kept], second.counts[kept])
    np.testing.assert_array_equal(first.missing[kept], second.missing[kept])
    # Sums of floating-point numbers, added in another order.
    np.testing.assert_allclose(first.sums[kept], second.sums[kept], rtol=1e-12, atol=1e-12)
    counted, others_counted = one.categories("predicted"), other.categories("predicted")
    np.testing.assert_array_equal(counted.counts, others_counted.counts)


def test_to_gather_again_brings_only_what_is_new(logs, capsys):
    apart = [logs / f"apart_{server}" / "m" for server in range(SERVERS)]
    into = logs / "gathered" / "m"
    assert main([*map(str, apart), "--into", str(into)]) == 0
    assert "0 parts" in capsys.readouterr().out
    assert read_rollups(into, live=False).rows == 2 * REQUESTS
    with pytest.raises(InputError, match="into itself"):
        gather([into], into)
    with pytest.raises(InputError, match="no log"):
        gather([logs / "nowhere"], into)
