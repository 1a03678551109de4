"""Who gets through the gate, how often, and what the others are told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agiwb.errors import InputError
from agiwb.serving.access.gate import ANY_CERTIFICATE, Gate, bearer_of, require_safe_bind
from agiwb.serving.access.keys import KeyRing, add_key, revoke_key
from agiwb.serving.access.rate import RateLimiter
from agiwb.serving.access.tokens import TokenRules, TokenVerifier
from agiwb.serving.status import Code, Refusal

SIGNING = ec.generate_private_key(ec.SECP256R1())


class Clock:
    """A clock that is put by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def code_of(gate: Gate, scope: Any = "predict", **how: Any) -> Code:
    try:
        gate.check(scope, **{"api_key": None, "bearer": None} | how)
    except Refusal as refusal:
        return refusal.code
    return Code.OK


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_an_open_gate_lets_everyone_in() -> None:
    gate = Gate.open()
    assert gate.is_open
    for scope in ("predict", "admin", "metrics"):
        assert code_of(gate, scope) is Code.OK


def test_a_key_opens_its_scopes_in_either_header(keys: Path) -> None:
    key, _ = add_key(keys, "ci", ["predict"])
    gate = Gate(keys=KeyRing(keys))
    assert not gate.is_open
    for how in ({"api_key": key}, {"bearer": key}, {"api_key": key, "bearer": "ignored"}):
        assert code_of(gate, **how) is Code.OK
        assert code_of(gate, "admin", **how) is Code.PERMISSION_DENIED
    assert code_of(gate) is Code.UNAUTHENTICATED
    assert code_of(gate, api_key="wrong") is Code.UNAUTHENTICATED
    assert code_of(gate, bearer="a.b.c") is Code.UNAUTHENTICATED
    assert code_of(gate, certificate="CN=ann") is Code.UNAUTHENTICATED
    revoke_key(keys, "ci")
    time.sleep(0.15)
    assert code_of(gate, api_key=key) is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("", None),
        ("abc", None),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
    ],
)
def test_a_bearer_is_read_as_clients_write_it(authorization: str, token: str | None) -> None:
    assert bearer_of(authorization) == token


def test_the_operators_key_opens_everything_and_closes_administration_to_others() -> None:
    gate = Gate(operator_key="secret")
    assert gate.check("admin", api_key="secret", bearer=None).name == "operator"
    assert code_of(gate) is Code.OK
    for key in (None, "", "wrong", "\xff", "\udc80"):
        assert code_of(gate, "admin", api_key=key) is Code.UNAUTHENTICATED


def test_a_token_opens_its_scopes_until_the_issuer_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(
        SIGNING.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    gate = Gate(tokens=TokenVerifier(TokenRules("i", "a", path, ("ES256",))))
    claims = {"iss": "i", "aud": "a", "exp": time.time() + 60, "sub": "ann", "scope": "metrics"}
    token = jwt.encode(claims, SIGNING, "ES256")
    for _ in range(2):
        assert gate.check("metrics", api_key=None, bearer=token).name == "token:ann"
    assert code_of(gate, "predict", bearer=token) is Code.PERMISSION_DENIED
    path.unlink()
    time.sleep(0.15)
    assert code_of(gate, "metrics", bearer=token) is Code.UNAUTHENTICATED


def test_a_certificate_counts_only_where_it_was_given_scopes() -> None:
    gate = Gate(certificates={"CN=ann": frozenset({"admin"})})
    assert gate.check("admin", api_key=None, bearer=None, certificate="CN=ann").name == (
        "certificate:CN=ann"
    )
    assert code_of(gate, "admin", certificate="CN=bob") is Code.UNAUTHENTICATED
    gate = Gate(certificates={ANY_CERTIFICATE: frozenset({"predict"})})
    assert gate.check("predict", api_key=None, bearer=None, certificate="CN=bob").name == (
        "certificate:CN=bob"
    )
    assert code_of(gate, "predict", certificate="") is Code.UNAUTHENTICATED
    assert code_of(gate, "admin", certificate="CN=bob") is Code.PERMISSION_DENIED


def test_a_rate_is_each_keys_own(keys: Path) -> None:
    clock = Clock()
    slow, _ = add_key(keys, "slow", ["predict"], rate=2)
    free, _ = add_key(keys, "free", ["predict"])
    gate = Gate(keys=KeyRing(keys), limiter=RateLimiter(clock))
    assert [code_of(gate, api_key=slow) for _ in range(3)] == [
        Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED,
    ]  # fmt: skip
    with pytest.raises(Refusal, match="2 requests a second") as refused:
        gate.check("predict", api_key=slow, bearer=None)
    assert refused.value.retry_after_s == pytest.approx(0.5)
    assert {code_of(gate, api_key=free) for _ in range(50)} == {Code.OK}
    clock.now += 0.5
    assert code_of(gate, api_key=slow) is Code.OK
    assert code_of(gate, api_key=slow) is Code.RESOURCE_EXHAUSTED


def test_failed_attempts_are_throttled_by_address_but_good_keys_are_not(keys: Path) -> None:
    clock = Clock()
    key, _ = add_key(keys, "ci", ["predict"])
    gate = Gate(keys=KeyRing(keys), limiter=RateLimiter(clock))
    codes = [code_of(gate, api_key="wrong", peer="10.0.0.1") for _ in range(25)]
    assert codes == [Code.UNAUTHENTICATED] * 20 + [Code.RESOURCE_EXHAUSTED] * 5
    assert code_of(gate, api_key="wrong", peer="10.0.0.2") is Code.UNAUTHENTICATED
    assert code_of(gate, api_key=key, peer="10.0.0.1") is Code.OK
    clock.now += 1
    assert code_of(gate, api_key="wrong", peer="10.0.0.1") is Code.UNAUTHENTICATED


def test_buckets_are_bounded_and_never_hold_more_than_the_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    for n in range(30_000):
        assert limiter.take(f"n{n}", 1.0, 1.0) == 0.0
    assert len(limiter._buckets) <= 10_000
    clock.now += 1e6
    assert [limiter.take("n29999", 1.0, 3.0) > 0 for _ in range(5)] == [False] * 3 + [True] * 2


def test_other_machines_are_let_in_only_with_keys_or_knowingly(keys: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        require_safe_bind(host, Gate.open())
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):  # noqa: S104 - refused
        with pytest.raises(InputError, match="agiwb keys add"):
            require_safe_bind(host, Gate.open())
        require_safe_bind(host, Gate.open(), insecure=True)
        require_safe_bind(host, Gate(keys=KeyRing(keys)))
