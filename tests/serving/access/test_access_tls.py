"""TLS files: TensorFlow Serving's form and ours, what is wrong with others, and gRPC with them."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import trustme

from agiwb.errors import ConfigError
from agiwb.serving.access.certificates import subject_of
from agiwb.serving.access.tls import grpc_credentials, http_context, read_ssl_config

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("localhost")
KEY = SERVER.private_key_pem.bytes()
CHAIN = SERVER.cert_chain_pems[0].bytes()
CA = AUTHORITY.cert_pem.bytes()


def quoted(pem: bytes) -> str:
    return '"' + pem.decode().replace("\n", "\\n") + '"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "server.key").write_bytes(KEY)
    (tmp_path / "server.crt").write_bytes(CHAIN)
    (tmp_path / "ca.crt").write_bytes(CA)
    return tmp_path / "ssl.config"


def test_pem_texts_and_paths_say_the_same(path: Path) -> None:
    path.write_text(
        f"server_key: {quoted(KEY)}\nserver_cert: {quoted(CHAIN)}\n"
        f"custom_ca: {quoted(CA)}\nclient_verify: true\n"
    )
    inline = read_ssl_config(path)
    path.write_text(
        'server_key_file: "server.key" server_cert_file: "server.crt"\n'
        f'custom_ca_file: "{path.parent / "ca.crt"}" client_verify: true'
    )
    assert read_ssl_config(path) == inline
    assert (inline.server_key, inline.custom_ca, inline.client_verify) == (KEY, CA, True)
    assert "PRIVATE" not in repr(inline)
    assert http_context(inline).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"server_cert: {quoted(CHAIN)}", "has no `server_key`"),
        (f"server_key: {quoted(KEY)}", "has no `server_cert`"),
        (
            'server_key_file: "server.key" server_cert_file: "server.crt" client_verify: true',
            "has no `custom_ca`",
        ),
        (f'server_key: {quoted(KEY)} server_key_file: "server.key"', "Keep one"),
        ('server_key_file: "missing.key"', "cannot be read"),
        ("server_key: " + KEY.decode(), "not a text-format SSLConfig"),
        ('server_kee: "x"', "not a text-format SSLConfig"),
    ],
)
def test_a_wrong_file_is_told_without_its_secrets(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as refused:
        read_ssl_config(path)
    assert KEY.decode().splitlines()[1] not in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)


def test_a_key_that_is_not_the_certificates_is_refused(path: Path) -> None:
    other = AUTHORITY.issue_cert("localhost").private_key_pem.bytes()
    for key, chain in ((other, CHAIN), (b"x", CHAIN), (KEY, b"x")):
        path.write_text(f"server_key: {quoted(key)} server_cert: {quoted(chain)}")
        config = read_ssl_config(path)
        for use in (http_context, grpc_credentials):
            with pytest.raises(ConfigError, match="cannot use this key"):
                use(config)


def test_a_context_has_no_old_protocol_or_weak_cipher(path: Path) -> None:
    path.write_text('server_key_file: "server.key" server_cert_file: "server.crt"')
    context = http_context(read_ssl_config(path))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    for cipher in context.get_ciphers():
        assert "GCM" in cipher["name"] or "CHACHA20" in cipher["name"]


def test_grpc_verifies_clients_and_names_them_alike(path: Path) -> None:
    path.write_text(
        'server_key_file: "server.key" server_cert_file: "server.crt"\n'
        'custom_ca_file: "ca.crt" client_verify: true'
    )
    told: list[str] = []

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        told.append(subject_of(context.auth_context()["x509_pem_cert"][0]))
        return b"ok"

    method = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": method}),))
    port = server.add_secure_port("127.0.0.1:0", grpc_credentials(read_ssl_config(path)))
    server.start()
    client = AUTHORITY.issue_cert("ann@lab", common_name="ann", organization_name="lab, CN=root")
    try:
        known = grpc.ssl_channel_credentials(
            CA, client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
        )
        with grpc.secure_channel(f"localhost:{port}", known) as channel:
            assert channel.unary_unary("/s/m")(b"", timeout=10) == b"ok"
        unknown = grpc.ssl_channel_credentials(CA)
        with (
            grpc.secure_channel(f"localhost:{port}", unknown) as channel,
            pytest.raises(grpc.RpcError),
        ):
            channel.unary_unary("/s/m")(b"", timeout=3)
    finally:
        server.stop(0)
    assert len(told) == 1
    assert "CN=ann" in told[0]
    assert "O=lab\\, CN\\=root" in told[0] or "O=lab\\, CN=root" in told[0]
