"""Tokens signed by a real key: which are believed, and which of the known attacks are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from agiwb.errors import ConfigError, InputError
from agiwb.serving.access.tokens import TokenRules, TokenVerifier

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def claims(**changes: Any) -> dict[str, Any]:
    made = {
        "iss": "https://id", "aud": "agiwb", "exp": time.time() + 60, "sub": "ann",
        "scope": "predict openid",
    }  # fmt: skip
    return {name: value for name, value in (made | changes).items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "RS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm)


def verifier(path: Path, content: bytes, *algorithms: str) -> TokenVerifier:
    path.write_bytes(content)
    return TokenVerifier(TokenRules("https://id", "agiwb", path, algorithms or ("RS256",)))


@pytest.fixture
def believer(tmp_path: Path) -> TokenVerifier:
    return verifier(tmp_path / "key.pem", pem(KEY))


def test_a_good_token_is_believed_and_remembered(believer: TokenVerifier) -> None:
    token = signed()
    assert believer.remembered(token) is None
    identity = believer.verify(token)
    assert identity is not None
    assert (identity.name, identity.scopes) == ("token:ann", {"predict"})
    assert believer.remembered(token) is identity
    listed = believer.verify(signed(aud=["x", "agiwb"], scope=["admin", "metrics"]))
    assert listed is not None
    assert listed.scopes == {"admin", "metrics"}


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def confused(secret: bytes) -> str:
    """Return a token signed with the public key as if it were a shared secret."""
    text = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims())}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "a.b.c", "ü.ü.ü", "x" * 10**6,
        signed(exp=time.time() - 60),
        signed(exp=None),
        signed(iss="https://evil"),
        signed(iss=None),
        signed(aud="other"),
        signed(aud=None),
        signed(nbf=time.time() + 60),
        signed(OTHER),
        signed(algorithm="RS512"),
        signed(CURVE, "ES256"),
        signed()[:-4] + "AAAA",
        f"{encoded({'alg': 'none'})}.{encoded(claims())}.",
        f"{encoded({'alg': 'None'})}.{encoded(claims())}.",
        confused(pem(KEY)),
        confused(pem(KEY).strip()),
    ],
)  # fmt: skip
def test_a_bad_token_is_not(believer: TokenVerifier, token: str) -> None:
    assert believer.verify(token) is None
    assert believer.remembered(token) is None


def test_keys_of_a_jwks_are_found_by_their_id_and_rotate(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    rsa_key = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "r", "use": "sig"}
    curve = ECAlgorithm.to_jwk(CURVE.public_key(), as_dict=True) | {"kid": "c"}
    shared = {"kty": "oct", "k": encoded(b"secret" * 8), "kid": "s"}
    content = json.dumps({"keys": [rsa_key, curve, shared]}).encode()
    believer = verifier(path, content, "RS256", "ES256")

    def token(key: Any, algorithm: str, key_id: str | None) -> str:
        return jwt.encode(claims(), key, algorithm, headers={"kid": key_id} if key_id else None)

    good = token(KEY, "RS256", "r")
    assert believer.verify(good) is not None
    assert believer.verify(token(CURVE, "ES256", "c")) is not None
    assert believer.verify(token(KEY, "RS256", "c")) is None
    assert believer.verify(token(KEY, "RS256", None)) is None
    assert believer.verify(token(b"secret" * 8, "HS256", "s")) is None
    path.with_suffix(".new").write_text(json.dumps({"keys": [curve]}))
    path.with_suffix(".new").replace(path)
    time.sleep(0.15)
    assert believer.remembered(good) is None
    assert believer.verify(good) is None
    path.unlink()
    time.sleep(0.15)
    with pytest.raises(InputError, match="cannot be read"):
        believer.verify(token(CURVE, "ES256", "c"))


def test_ed25519_and_what_cannot_be_configured(tmp_path: Path) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    believer = verifier(tmp_path / "ed.pem", pem(edwards), "EdDSA")
    assert believer.verify(signed(edwards, "EdDSA")) is not None
    for algorithm in ("HS256", "none", "RS257"):
        with pytest.raises(ConfigError, match="cannot be signed"):
            verifier(tmp_path / "key.pem", pem(KEY), algorithm)
    with pytest.raises(InputError, match="has no key for ES256"):
        verifier(tmp_path / "key.pem", pem(KEY), "ES256")
    for content in (b"", b"{}", b"ssh-rsa AAAA", b'{"keys": 3}'):
        with pytest.raises(InputError, match="key file"):
            verifier(tmp_path / "key.pem", content)
