"""TLS for every port, from one file: TensorFlow Serving's ``SSLConfig`` and a little more."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.errors import ConfigError

if TYPE_CHECKING:
    import grpc

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no others."""
_FIRST_NUMBER_OF_OURS = 1001


@dataclass(frozen=True)
class TlsConfig:
    """A server's key and certificates, as PEM.

    Attributes:
        server_key: Its private key, unencrypted; not shown by ``repr``.
        server_cert: Its certificate, then the intermediate ones.
        custom_ca: The authorities that clients' certificates may come from; b"" for none.
        client_verify: Whether a client must have a certificate of these (mutual TLS).
    """

    server_key: bytes = field(repr=False)
    server_cert: bytes
    custom_ca: bytes = b""
    client_verify: bool = False


def read_ssl_config(path: Path) -> TlsConfig:
    """Return what a ``--ssl_config_file`` says.

    It is TensorFlow Serving's ``SSLConfig`` in text format: ``server_key``, ``server_cert`` and
    ``custom_ca`` are PEM *texts*, ``client_verify`` a truth value. Instead of each text there may
    be a path, relative to the file's folder: ``server_key_file: "server.key"``.

    Raises:
        ConfigError: A file cannot be read, has something else in it, or misses what TLS needs.
    """
    from google.protobuf import text_format

    text = _read(path, "TLS configuration").decode("utf-8", "replace")
    try:
        message = text_format.Parse(text, _config_class()())
    except text_format.ParseError as error:
        # Its own words quote the text, which may be the private key.
        line = error.GetLine()  # type: ignore[no-untyped-call, unused-ignore]
        raise ConfigError(
            f"The TLS configuration {path} is not a text-format SSLConfig"
            + (f" (line {line})." if line else "."),
            'Write a PEM on one line with \\n for its line ends, or `server_key_file: "PATH"`.',
        ) from None
    config = TlsConfig(
        server_key=_pem(path, message, "server_key"),
        server_cert=_pem(path, message, "server_cert"),
        custom_ca=_pem(path, message, "custom_ca"),
        client_verify=message.client_verify,
    )
    for name in ("server_key", "server_cert"):
        if not getattr(config, name):
            raise ConfigError(
                f"The TLS configuration {path} has no `{name}`.", f"Add it, or `{name}_file`."
            )
    if config.client_verify and not config.custom_ca:
        raise ConfigError(
            f"The TLS configuration {path} verifies clients, but has no `custom_ca`.",
            "Add the certificate of the authority that signs the clients' certificates.",
        )
    return config


def http_context(config: TlsConfig) -> ssl.SSLContext:
    """Return a context for HTTPS listeners: TLS 1.2 or later, and HTTP/1.1 by ALPN.

    Raises:
        ConfigError: The key, the certificate or the authorities are not valid PEM, or the key is
            not the certificate's, or is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # OpenSSL takes a key from a file only; this folder is the process's own, and short-lived.
        with tempfile.TemporaryDirectory(prefix="agiwb-tls-") as folder:
            chain = Path(folder) / "chain.pem"
            chain.write_bytes(config.server_key.rstrip() + b"\n" + config.server_cert)
            # An empty password, or it would ask for one on the terminal.
            context.load_cert_chain(chain, password="")
        if config.custom_ca:
            context.load_verify_locations(cadata=config.custom_ca.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "it is not PEM"
        raise ConfigError(
            f"TLS cannot use this key or certificate: {reason}.",
            "Check that the key is unencrypted PEM and the one of the certificate.",
        ) from None
    if config.client_verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def grpc_credentials(config: TlsConfig) -> grpc.ServerCredentials:
    """Return the credentials of a gRPC port, with mutual TLS if clients are verified.

    Raises:
        ConfigError: As :func:`http_context`, which checks it: gRPC itself would only fail at the
            first handshake.
    """
    import grpc

    http_context(config)
    return grpc.ssl_server_credentials(
        [(config.server_key, config.server_cert)],
        root_certificates=config.custom_ca or None,
        require_client_auth=config.client_verify,
    )


@cache
def _config_class() -> Any:
    """Return TensorFlow Serving's SSLConfig with a ``*_file`` field for each PEM."""
    from google.protobuf import descriptor_pb2
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    from agiwb.serving.protobuf.messages import message_class

    file = descriptor_pb2.FileDescriptorProto(name="ssl_config.proto", package="agiwb")
    message = file.message_type.add()
    message_class("SSLConfig").DESCRIPTOR.CopyToProto(message)
    for number, name in enumerate(("server_key", "server_cert", "custom_ca")):
        message.field.add(
            name=f"{name}_file",
            number=_FIRST_NUMBER_OF_OURS + number,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
        )
    pool = DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    return GetMessageClass(pool.FindMessageTypeByName("agiwb.SSLConfig"))


def _pem(path: Path, message: Any, name: str) -> bytes:
    text: str = getattr(message, name)
    file: str = getattr(message, f"{name}_file")
    if text and file:
        raise ConfigError(
            f"The TLS configuration {path} has both `{name}` and `{name}_file`.", "Keep one."
        )
    return _read(path.parent / file, f"`{name}_file`") if file else text.encode()


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The {what} {path} cannot be read: {error.strerror}.",
            "Check the path and its permissions.",
        ) from None
