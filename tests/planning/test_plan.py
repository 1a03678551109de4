"""A plan from a real server of a real model, its picture, and the bundle it goes into."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from agiwb.cli import main
from agiwb.deployment.bundle import BundleConfig, bundle
from agiwb.errors import ConfigError, InputError, WorkError
from agiwb.planning.plan import PlanConfig, PlanRecord, plan
from agiwb.reporting.planning import plot_plan
from agiwb.reporting.result import result_html
from tests.deployment.digits_artifact import write_digits_artifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(empty_history, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    (folder / "workspace").mkdir()
    shutil.copy(empty_history, folder / "workspace")
    write_digits_artifact(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(folder / "workspace"))
        yield folder


@pytest.fixture(scope="module")
def planned(place) -> PlanRecord:
    return plan(
        PlanConfig(model=str(place / "model"), rps=5_000, p99_ms=500, seconds=0.3, headroom=0.4)
    )


def test_what_was_measured_is_of_a_real_server(planned):
    measured = planned.measured
    assert [point.concurrency for point in measured.points] == [1, 4, 16, 64]
    assert all(point.cpu_us_per_request > 10 for point in measured.points)
    assert measured.points[0].requests_per_run == pytest.approx(1, abs=0.01)
    assert measured.points[-1].requests_per_run > 2
    assert measured.merges
    assert measured.rows_together > 1
    assert 20 < measured.memory_mib < 500
    assert measured.log_bytes > 64 * 4
    assert 0 < measured.parquet_bytes < measured.log_bytes
    assert planned.sizing.chosen.load <= 0.6
    assert planned.metrics["replicas"] == planned.sizing.chosen.replicas >= 1
    assert any("Poisson" in said for said in planned.assumptions)
    assert 0 <= measured.others_busy <= 1
    told = any("when it is idle" in said for said in planned.assumptions)
    assert told == (measured.others_busy > 0.1)


def test_its_picture_says_in_words_what_it_shows(planned):
    picture = plot_plan(planned)
    assert picture.png().startswith(b"\x89PNG")
    assert f"{planned.sizing.chosen.replicas} replicas answer 5000" in picture.alt
    assert "Poisson" in picture.alt


def test_a_panel_shows_it_with_its_figures_and_what_to_do_next(planned):
    page = result_html(planned)
    assert f"<code>agiwb bundle --plan {planned.run.id[:8]}</code>" in page
    assert "<td>replicas</td>" in page
    assert "data:image/png" in page


def test_a_bundle_takes_its_replicas_and_resources_from_the_plan(place, planned):
    made = bundle(BundleConfig(model=str(place / "model"), plan=planned.run.id, samples=2))
    autoscaler = yaml.safe_load(made.file("kubernetes/hpa.yaml").read_text())
    assert autoscaler["spec"]["minReplicas"] == planned.sizing.chosen.replicas
    assert autoscaler["spec"]["maxReplicas"] == planned.sizing.max_replicas
    deployment = yaml.safe_load(made.file("kubernetes/deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    asked = container["resources"]["requests"]
    assert asked == {"cpu": "1", "memory": f"{planned.sizing.memory_request_mib}Mi"}
    assert "--workers=1" not in container["args"]
    assert made.run.provenance.parents["plan"] == planned.run.id


def test_a_plan_of_another_model_is_refused(place, planned):
    other = place / "other"
    if not other.exists():
        write_digits_artifact(other, seed=3)
    with pytest.raises(InputError, match="made for another model"):
        bundle(BundleConfig(model=str(other), plan=planned.run.id))
    with pytest.raises(ConfigError, match="leave out `replicas`"):
        BundleConfig(plan=planned.run.id, replicas=4)


def test_the_command_plans_for_binary_requests_and_two_workers(place, capsys):
    picture = place / "plan.png"
    words = [
        "--model", str(place / "model"), "--rps", "100", "--p99-ms", "500", "--rows", "4",
        "--payload", "binary", "--workers-per-replica", "2", "--no-log-predictions",
        "--seconds", "0.2", "--picture", str(picture), "--json",
    ]  # fmt: skip
    assert main(["plan", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measured"]["workers"] == 2
    assert told["measured"]["log_bytes"] == 0
    assert told["measured"]["body_bytes"] > 4 * 64 * 4
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_impossible_bar_is_said_to_be_one(place):
    with pytest.raises(WorkError, match="No number of servers"):
        plan(PlanConfig(model=str(place / "model"), rps=10, p99_ms=0.001, seconds=0.2))
    with pytest.raises(ConfigError, match="p99_ms"):
        PlanConfig(rps=10, p99_ms=0)
