"""Entries are whole or not there; damaged and outdated ones do not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agiwb.compression.trials.cache import Cache, Found


def keep(cache: Cache, key: str, content: str) -> Found:
    with cache.draft() as draft:
        (draft / "file.txt").write_text(content)
        return cache.keep(key, draft, {"size": len(content)})


def test_what_is_kept_is_found(tmp_path: Path):
    cache = Cache(tmp_path / "entries", tmp_path / "drafts")
    assert cache.find("a") is None
    keep(cache, "a", "content")
    found = cache.find("a")
    assert found is not None
    assert found.facts == {"size": 7}
    assert found.file("file.txt").read_text() == "content"
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_later_entry_takes_the_place_of_an_earlier_one(tmp_path: Path):
    cache = Cache(tmp_path / "entries", tmp_path / "drafts")
    keep(cache, "a", "former")
    found = keep(cache, "a", "later")
    assert found.file("file.txt").read_text() == "later"
    assert [path.name for path in (tmp_path / "entries").iterdir()] == ["a"]
    assert list((tmp_path / "drafts").iterdir()) == []


def test_a_damaged_entry_does_not_count_until_it_is_made_again(tmp_path: Path):
    cache = Cache(tmp_path / "entries", tmp_path / "drafts")
    keep(cache, "a", "content").file("file.txt").write_text("kontent")
    assert cache.find("a") is None
    keep(cache, "a", "content")
    assert cache.find("a") is not None
    (tmp_path / "entries" / "a" / "entry.json").write_text("{")
    assert cache.find("a") is None
    keep(cache, "a", "content").file("file.txt").unlink()
    assert cache.find("a") is None


def test_a_draft_that_was_given_up_leaves_nothing(tmp_path: Path):
    cache = Cache(tmp_path / "entries", tmp_path / "drafts")
    with cache.draft() as draft:
        (draft / "half.txt").write_text("half")
    assert not draft.exists()
    assert not (tmp_path / "entries").exists()


def test_older_entries_do_not_count_if_that_is_asked_for(tmp_path: Path):
    keep(Cache(tmp_path / "entries", tmp_path / "drafts"), "a", "content")
    now = datetime.now(UTC)
    later = Cache(tmp_path / "entries", tmp_path / "drafts", now + timedelta(seconds=1))
    assert later.find("a") is None
    earlier = Cache(tmp_path / "entries", tmp_path / "drafts", now - timedelta(hours=1))
    assert earlier.find("a") is not None


def test_an_entry_travels(tmp_path: Path):
    here = Cache(tmp_path / "here", tmp_path / "drafts")
    there = Cache(tmp_path / "there", tmp_path / "drafts")
    keep(here, "a", "content")
    assert here.pack("b") is None
    parcel = here.pack("a")
    assert parcel is not None
    there.unpack(parcel)
    found = there.find("a")
    assert found is not None
    assert found.facts == {"size": 7}
    assert found.file("file.txt").read_text() == "content"
