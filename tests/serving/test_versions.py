from __future__ import annotations

import pytest

from agiwb.errors import NotFoundError
from agiwb.serving.versions import Version, choose_version, find_versions


@pytest.fixture
def base_path(tmp_path):
    for name in (
        "2",
        "10",
        "00000123",
        "1x",
        "-3",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "v5",
        ".4",
        str(2**63),
        "7.0",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "999").write_text("a file")
    return tmp_path


def test_versions_are_whole_numbers_in_numeric_order(base_path):
    assert find_versions(base_path) == (
        Version(2, base_path / "2"),
        Version(10, base_path / "10"),
        Version(123, base_path / "00000123"),
    )


def test_of_two_folders_with_one_number_the_first_counts(tmp_path, caplog):
    (tmp_path / "1").mkdir()
    (tmp_path / "01").mkdir()
    assert find_versions(tmp_path) == (Version(1, tmp_path / "01"),)
    assert "Duplicate" in caplog.text


def test_the_largest_int64_is_a_version(tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    assert find_versions(tmp_path)[0].number == 2**63 - 1


def test_a_missing_folder_has_no_versions(tmp_path):
    assert find_versions(tmp_path / "gone") == ()


def test_the_highest_number_is_chosen(base_path):
    assert choose_version(base_path).number == 123


def test_a_number_asked_for_is_chosen(base_path):
    assert choose_version(base_path, 10).folder == base_path / "10"


def test_a_version_that_is_not_there_is_told_with_those_that_are(base_path):
    with pytest.raises(NotFoundError, match=r"no version 5 below .* there is: 2, 10, 123"):
        choose_version(base_path, 5)


def test_no_versions_at_all_is_told_with_the_layout(tmp_path):
    with pytest.raises(NotFoundError, match=r"1/model\.onnx"):
        choose_version(tmp_path)
