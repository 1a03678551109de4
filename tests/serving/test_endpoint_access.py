"""Endpoints of servers that want keys and have certificates, with real servers."""

from __future__ import annotations

import json
import subprocess

import pytest
import trustme

from agiwb.errors import InputError
from agiwb.serving.access.keys import add_key
from agiwb.serving.client_needs import needs_of_clients
from agiwb.serving.serve import ServeConfig, serve
from tests.serving.onnx_models import write_half_plus_two

AUTHORITY = trustme.CA()


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Keys, and a certificate that an authority has signed, which nobody here knows."""
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))
    write_half_plus_two(tmp_path / "half" / "1")
    host = AUTHORITY.issue_cert("127.0.0.1")
    host.private_key_pem.write_to_path(tmp_path / "server.key")
    host.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    AUTHORITY.cert_pem.write_to_path(tmp_path / "server.crt", append=True)
    (tmp_path / "ssl.config").write_text(
        'server_key_file: "server.key" server_cert_file: "server.crt"'
    )
    add_key(tmp_path / "keys.json", "someone", ["predict"])
    return ServeConfig(
        model_base_path=tmp_path / "half",
        rest_api_port=0,
        ssl_config_file=tmp_path / "ssl.config",
        api_keys_file=tmp_path / "keys.json",
    )


@pytest.mark.slow
def test_an_endpoint_asks_and_loads_a_server_with_keys_and_tls(config, tmp_path):
    key, _ = add_key(tmp_path / "keys.json", "stranger", ["predict"])
    with serve(config) as endpoint:
        assert endpoint.address.startswith("https://")
        assert endpoint.predict([1.0]).tolist() == [2.5]
        loaded = endpoint.load_test(seconds=0.3, concurrency=2)
        assert loaded.failures == {}
        assert len(loaded.latencies_ms) > 0
        command = endpoint.curl([1.0])
        assert "-H 'X-API-Key: KEY'" in command
        done = subprocess.run(
            ["sh", "-c", command.replace("KEY", key)], capture_output=True, check=True, timeout=60
        )
        assert json.loads(done.stdout) == {"predictions": [2.5]}


@pytest.mark.slow
def test_batching_is_tuned_for_a_server_with_keys_and_tls(config, monkeypatch):
    monkeypatch.setattr("agiwb.serving.tuning._TIMED_S", 0.01)
    monkeypatch.setattr("agiwb.serving.batching_choice._SECONDS", 0.2)
    with serve(config.model_copy(update={"tune": True})) as endpoint:
        assert endpoint.predict([1.0]).tolist() == [2.5]


def test_an_endpoint_that_would_need_a_certificate_is_refused(config, tmp_path):
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.crt")
    text = config.ssl_config_file.read_text()
    config.ssl_config_file.write_text(f'{text} custom_ca_file: "ca.crt" client_verify: true')
    with pytest.raises(InputError, match="verify its clients' certificates"):
        serve(config)
    options = needs_of_clients(config).curl_options(tmp_path / "half.crt")
    assert options[:2] == ["--cacert", str(tmp_path / "half.crt")]
    assert {"--cert", "--key"} < set(options)


def test_a_client_of_an_open_server_needs_nothing(tmp_path):
    needs = needs_of_clients(ServeConfig())
    assert needs.curl_options(None) == []
    with_tokens = needs_of_clients(ServeConfig(jwt_file=tmp_path / "jwt.yaml"))
    assert with_tokens.curl_options(None) == ["-H", "Authorization: Bearer TOKEN"]
