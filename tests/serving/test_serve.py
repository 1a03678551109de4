"""What is served, under which name and version, and the foreground server of the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest

from agiwb.errors import ConfigError, InputError, NotFoundError, ServingError, WorkspaceError
from agiwb.serving import server
from agiwb.serving.address import is_loopback
from agiwb.serving.grpc_port import take_grpc_port
from agiwb.serving.serve import ServeConfig, serve
from agiwb.serving.settings import DEFAULT_GRPC_PORT, ServerSettings
from tests.serving.onnx_models import make_artifact, write_half_plus_two


def test_tensorflow_servings_own_command_line_is_understood(capsys):
    """``--port`` is gRPC's there, and underscores are how it spells flags."""
    words = ["--port=8500", "--rest_api_port=8501", "--model_name=m", "--model_base_path=/nowhere"]
    assert server.main([*words, "--enable_batching", "--file_system_poll_wait_seconds=2"]) == 2
    assert "/nowhere" in capsys.readouterr().err
    assert server.main(["--model_nam", "m"]) == 2
    assert "Did you mean `--model-name`?" in capsys.readouterr().err


@pytest.fixture
def bare_workspace(tmp_path, monkeypatch):
    """A workspace that does not exist yet, and needs no MLflow."""
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path / "workspace"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("192.168.0.1", False),
        ("::", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine_only(host, loopback):
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("name", ["a/b", "..", "", "a b", "a:b"])
def test_a_model_name_fits_in_a_url_and_a_folder(name):
    with pytest.raises(ConfigError, match="model_name"):
        ServeConfig(model_name=name)


def test_a_taken_port_is_told_with_its_holder_before_anything_is_published(
    tmp_path, bare_workspace
):
    artifact = make_artifact(tmp_path / "artifact")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(InputError) as caught:
            serve(ServeConfig(model=str(artifact), rest_api_port=port))
    assert f"Port {port} on 127.0.0.1 is in use by process {os.getpid()}" in str(caught.value)
    assert "--rest-api-port 0" in str(caught.value)
    assert not bare_workspace.exists()


def test_a_workspace_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "file"))
    write_half_plus_two(tmp_path / "half" / "1")
    with pytest.raises(WorkspaceError, match="cannot be written") as caught:
        serve(ServeConfig(model_base_path=tmp_path / "half", rest_api_port=0))
    assert caught.value.exit_code == 2


def test_a_base_path_without_versions_is_told(tmp_path, bare_workspace):
    with pytest.raises(NotFoundError, match="numbered folders"):
        serve(ServeConfig(model_base_path=tmp_path, rest_api_port=0))


def test_a_base_path_with_an_odd_name_needs_a_model_name(tmp_path, bare_workspace):
    write_half_plus_two(tmp_path / "my model" / "1")
    with pytest.raises(InputError, match="Give a `model_name`"):
        serve(ServeConfig(model_base_path=tmp_path / "my model", rest_api_port=0))


@pytest.mark.slow
def test_an_artifact_of_another_format_is_refused(tmp_path, workspace):
    artifact = make_artifact(tmp_path / "artifact")
    manifest = artifact / "artifact.json"
    manifest.write_text(manifest.read_text().replace('"onnx"', '"saved_model"'))
    with pytest.raises(NotFoundError, match="saved_model artifact, and onnx is wanted"):
        serve(ServeConfig(model=str(artifact), rest_api_port=0))


@pytest.mark.slow
def test_an_artifact_is_published_once_and_served_by_version(tmp_path, workspace):
    first = make_artifact(tmp_path / "first")
    second = make_artifact(tmp_path / "second", addend=3)
    expected = [(first, 1, 2.5), (second, 2, 3.5), (first, 1, 2.5)]
    for artifact, version, answer in expected:
        with serve(ServeConfig(model=str(artifact), rest_api_port=0)) as endpoint:
            assert (endpoint.model_name, endpoint.version) == ("half_plus_two", version)
            assert endpoint.predict([1.0]).tolist() == [answer]
    published = workspace / "serving" / "half_plus_two"
    assert sorted(path.name for path in published.iterdir() if path.is_dir()) == ["1", "2"]


@pytest.mark.slow
def test_a_configuration_without_a_model_that_answers_is_told(tmp_path, bare_workspace):
    (tmp_path / "models.config").write_text("model_config_list {}")
    config = ServeConfig(model_config_file=tmp_path / "models.config", rest_api_port=0)
    with pytest.raises(ServingError, match="None of the models answers") as caught:
        serve(config)
    assert "models.log" in caught.value.fix


def test_settings_of_serve_that_would_do_nothing_are_told(tmp_path):
    with pytest.raises(ConfigError, match="`model_name` goes with one model"):
        ServeConfig(model_config_file=tmp_path / "models.config", model_name="m")
    with pytest.raises(ConfigError, match="`log_predictions` is off"):
        ServeConfig(log_predictions=False, log_policy=tmp_path / "policy.yaml")


def test_grpc_takes_a_free_port_if_nobody_asked_for_the_usual_one():
    def take(port):
        if port == DEFAULT_GRPC_PORT:
            raise InputError("The port is in use.")
        return port

    settings = ServerSettings(model_base_path="m")
    assert take_grpc_port(settings, DEFAULT_GRPC_PORT, take) == 0
    by_name = settings.model_copy(update={"port": DEFAULT_GRPC_PORT})
    with pytest.raises(InputError, match="The port is in use"):
        take_grpc_port(by_name, DEFAULT_GRPC_PORT, take)


@pytest.mark.slow
def test_the_loopback_of_ipv6_is_served(tmp_path, bare_workspace):
    write_half_plus_two(tmp_path / "half" / "1")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    config = ServeConfig(model_base_path=tmp_path / "half", host="::1", rest_api_port=0)
    with serve(config) as endpoint:
        assert endpoint.address.startswith("http://[::1]:")
        assert endpoint.grpc_address.startswith("[::1]:")
        assert endpoint.predict([1.0]).tolist() == [2.5]


def start_foreground(base_path):
    code = """
import sys
from agiwb.serving.serve import ServeConfig, run_server
run_server(ServeConfig(model_base_path=sys.argv[1], rest_api_port=0))
print("returned")
"""
    return subprocess.Popen(
        [sys.executable, "-c", code, base_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_server_tells_its_address_and_stops_when_asked(
    tmp_path, bare_workspace, number
):
    write_half_plus_two(tmp_path / "half" / "1")
    with start_foreground(tmp_path / "half") as server:
        address = server.stderr.readline().split()[1]
        assert "/metrics" in server.stderr.readline()
        command = server.stderr.readline().partition("Try it:")[2]
        with urllib.request.urlopen(address.removesuffix(":predict"), timeout=60) as answer:
            assert answer.status == 200
        assert address in command
        server.stderr.readline()
        server.send_signal(number)
        assert server.communicate(timeout=120) == ("returned\n", "")
    assert server.returncode == 0


@pytest.mark.slow
def test_a_foreground_server_whose_child_dies_fails(tmp_path, bare_workspace):
    write_half_plus_two(tmp_path / "half" / "1")
    with start_foreground(tmp_path / "half") as server:
        server.stderr.readline()
        (child,) = psutil.Process(server.pid).children()
        child.kill()
        _, messages = server.communicate(timeout=120)
    assert "ServingError: The server ended by itself." in messages
