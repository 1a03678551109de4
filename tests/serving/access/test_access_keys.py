"""API keys: made, kept, found, revoked, ended; in Python and on the command line."""

from __future__ import annotations

import json
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from agiwb.cli import main
from agiwb.errors import InputError, NotFoundError, WorkspaceError
from agiwb.serving.access.key_file import changing, read_keys
from agiwb.serving.access.keys import KeyRing, add_key, keys_path, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return keys_path(tmp_path)


def test_a_key_is_found_and_only_its_hash_is_kept(path: Path) -> None:
    ring = KeyRing(path)
    key, entry = add_key(path, "ci", ["metrics", "predict"], rate=5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert key not in content
    assert key.split("_", 2)[2] not in content
    assert entry.last_four == key[-4:]
    identity = ring.find(key)
    assert identity is not None
    assert (identity.name, identity.rate) == ("key:ci", 5)
    assert identity.scopes == {"predict", "metrics"}
    assert len(key.split("_", 2)[2]) == 43  # 32 random bytes


def test_nothing_else_is_a_key(path: Path) -> None:
    key, _ = add_key(path, "ci", ["predict"])
    other, _ = add_key(path, "other", ["predict"])
    ring = KeyRing(path)
    mixed = "_".join([*key.split("_", 2)[:2], other.split("_", 2)[2]])
    for wrong in ("", "agiwb_", key[:-1], key + "x", key.upper(), mixed, "x" * 10**6, key[6:], "ü"):
        assert ring.find(wrong) is None


def test_a_damaged_entry_leaves_the_others_as_they_are(path: Path) -> None:
    good, _ = add_key(path, "good", ["predict"])
    bad, entry = add_key(path, "bad", ["predict"])
    path.write_text(path.read_text().replace(entry.salt, "no digits"))
    ring = KeyRing(path)
    for _ in range(2):
        assert ring.find(bad) is None
        assert ring.find(good) is not None


def refused_soon(ring: KeyRing, key: str) -> bool:
    end = time.monotonic() + 60
    while ring.find(key) is not None and time.monotonic() < end:
        time.sleep(0.01)
    return ring.find(key) is None


def test_a_new_key_counts_at_once_and_a_revoked_one_is_refused_soon(path: Path) -> None:
    ring = KeyRing(path)
    for n in range(5):
        key, _ = add_key(path, f"k{n}", ["predict"])
        assert ring.find(key) is not None
        revoke_key(path, f"k{n}")
        assert refused_soon(ring, key)


def test_a_key_ends(path: Path) -> None:
    key, entry = add_key(path, "short", ["predict"], lifetime=timedelta(days=1))
    ring = KeyRing(path)
    assert ring.find(key) is not None
    with changing(path) as keys:
        assert entry.expires is not None
        expires = entry.created - timedelta(seconds=1)
        keys[0] = entry.model_copy(update={"expires": expires})
    assert refused_soon(ring, key)


def test_a_damaged_or_missing_file_has_no_keys(path: Path) -> None:
    key, _ = add_key(path, "ci", ["predict"])
    ring = KeyRing(path)
    assert ring.find(key) is not None
    path.write_text("{")
    assert refused_soon(ring, key)
    with pytest.raises(WorkspaceError, match="it is damaged"):
        read_keys(path)
    path.unlink()
    assert ring.find(key) is None


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    makers = [
        threading.Thread(target=add_key, args=(path, f"k{n}", ["predict"])) for n in range(12)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {entry.name for entry in read_keys(path)} == {f"k{n}" for n in range(12)}
    assert not list(path.parent.glob(".*.part"))


def test_what_cannot_be_a_key_is_refused(path: Path) -> None:
    add_key(path, "ci", ["predict"])
    for name, scopes, lifetime, rate, message in (
        ("ci", ["predict"], None, None, "already"),
        ("a b", ["predict"], None, None, "cannot be named"),
        ("x", [], None, None, "no scope"),
        ("x", ["predct"], None, None, "Did you mean `predict`"),
        ("x", ["predict"], timedelta(0), None, "ended already"),
        ("x", ["predict"], None, 0.0, "not above 0"),
    ):
        with pytest.raises(InputError, match=message):
            add_key(path, name, scopes, lifetime=lifetime, rate=rate)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="Choose from: ci"):
        revoke_key(path, "cj")
    assert len(read_keys(path)) == 1


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))

    def agiwb(*words: str) -> str:
        assert main(["keys", *words]) == 0
        return capsys.readouterr().out

    assert "No API keys yet" in agiwb()
    key = agiwb("add", "ci", "--scopes", "predict", "metrics", "--days", "30").splitlines()[0]
    ring = KeyRing(keys_path(tmp_path))
    assert ring.find(key) is not None
    made = json.loads(agiwb("add", "dashboard", "--rate", "2", "--json"))
    assert ring.find(made["key"]) is not None
    assert {"salt", "sha256"}.isdisjoint(made)
    listed = agiwb("list")
    assert key[-4:] in listed
    assert key not in listed
    described = json.loads(agiwb("--json"))
    assert [entry["name"] for entry in described] == ["ci", "dashboard"]
    assert "key" not in described[0]
    assert "is revoked" in agiwb("revoke", "ci")
    assert refused_soon(ring, key)
    assert main(["keys", "revoke", "ci"]) == 2
    assert "There is no API key `ci`" in capsys.readouterr().err
    assert main(["keys", "destroy"]) == 2
