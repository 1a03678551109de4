"""Labels that come late, twice and corrected, joined by request id."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agiwb.cli import main
from agiwb.errors import InputError, NotFoundError
from agiwb.monitoring.log import add_labels, join_labels, label_history, read_predictions
from agiwb.serving.prediction_log.compaction import compact
from tests.serving.prediction_log.logged_predictions import prediction, write


@pytest.fixture
def log(tmp_path):
    """Requests r0.0 to r9.0, every other one of two examples; half of them in Parquet."""
    folder = tmp_path / "predictions"
    entries = [prediction(float(index), rows=1 + index % 2) for index in range(10)]
    write(folder, *entries[:5])
    compact(folder / "m")
    write(folder, *(entry._replace(version=2) for entry in entries[5:]))
    return folder / "m"


def add(log, text, name="labels.csv", **options):
    file = log.parent.parent / name
    file.write_text(text)
    return add_labels(log, file, **options)


def test_rows_are_found_by_time_and_version(log):
    assert read_predictions(log).request_ids.tolist() == [f"r{index}.0" for index in range(10)]
    assert read_predictions(log, 3, 6).request_ids.tolist() == ["r3.0", "r4.0", "r5.0", "r6.0"]
    assert read_predictions(log, version=2).request_ids[0] == "r5.0"
    newest = read_predictions(log, last_requests=2)
    assert newest.request_ids.tolist() == ["r8.0", "r9.0"]
    assert newest.window().times.tolist() == [8, 9, 9]
    assert len(read_predictions(log, variant="challenger")) == 0
    assert len(read_predictions(log).window()) == 15


def test_what_a_load_test_asked_is_left_out_unless_it_is_asked_for(log):
    write(log.parent, prediction(11.0, variant="load_test"), prediction(12.0, variant="challenger"))
    assert read_predictions(log, start=10).request_ids.tolist() == ["r12.0"]
    assert read_predictions(log, variant="load_test").request_ids.tolist() == ["r11.0"]
    add(log, "request_id,label\nr11.0,dog\nr12.0,cat\n")
    assert join_labels(log).request_ids.tolist() == ["r12.0"]


def test_labels_are_joined_by_request_and_row(log):
    added = add(log, "request_id,row,label\nr1.0,1,dog\nr8.0,0,cat\nr1.0,0,2\nelsewhere,0,cat\n")
    assert (added.labels, added.without_request, added.without_row) == (4, 1, 0)
    found = join_labels(log)
    assert found.request_ids.tolist() == ["r1.0", "r1.0", "r8.0"]
    assert found.labels.tolist() == ["2", "dog", "cat"]
    assert found.window.features[:, 0] == pytest.approx([1, 1.1, 8])
    assert found.window.versions.tolist() == [1, 1, 2]
    assert (found.requests, found.ambiguous) == (10, 0)
    assert found.classes(["cat", "dog", "cow"]).tolist() == [2, 1, 0]
    assert found.classes(["cat", "cow"]).tolist() == [-1, -1, 0]
    np.testing.assert_array_equal(found.numbers(), [2, np.nan, np.nan])
    assert join_labels(log, version=2).labels.tolist() == ["cat"]
    assert join_labels(log, 0, 4).requests == 5


def test_the_last_label_holds_and_the_others_are_its_history(log):
    add(log, "request_id,label\nr2.0,1\nr3.0,1\n")
    again = add(log, "request_id,label\nr2.0,1\nr3.0,1\n")
    assert (again.repetitions, again.corrections) == (2, 0)
    corrected = add(log, '{"request_id": "r2.0", "label": 0}\n', "labels.jsonl", source="ann")
    assert (corrected.repetitions, corrected.corrections) == (0, 1)
    assert join_labels(log).labels.tolist() == ["0", "1"]
    # What was known earlier does not replace it, however late it comes.
    add(log, "request_id,label,time\nr2.0,7,1970-01-01T02:00:00+02:00\n")
    assert join_labels(log).labels.tolist() == ["0", "1"]
    history = label_history(log, "r2.0")
    assert [one.label for one in history] == ["0", "1", "1", "7"]
    assert [one.source for one in history] == ["ann", "", "", ""]
    assert history[-1].label_time == 0


def test_what_was_known_at_a_moment_is_found_again(log):
    add(log, "request_id,label\nr2.0,1\nr3.0,1\n")
    then = join_labels(log)
    add(log, "request_id,label\nr2.0,0\nr4.0,1\n")
    assert join_labels(log).labels.tolist() == ["0", "1", "1"]
    again = join_labels(log, known_by=then.received.max())
    assert again.labels.tolist() == ["1", "1"]
    assert again.request_ids.tolist() == then.request_ids.tolist()
    assert len(join_labels(log, known_by=-np.inf)) == 0


def test_of_one_file_the_last_row_holds(log):
    add(log, "request_id,label\nr2.0,1\nr2.0,3\n")
    assert join_labels(log).labels.tolist() == ["3"]


def test_many_files_become_one_and_keep_the_history(log, monkeypatch):
    monkeypatch.setattr("agiwb.monitoring.log.labels._MOST_SHARDS", 3)
    for index in range(6):
        add(log, f"request_id,label\nr2.0,{index}\n")
    assert len(list((log / "labels").glob("*.parquet"))) <= 3
    assert len(label_history(log, "r2.0")) == 6
    assert join_labels(log).labels.tolist() == ["5"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("request_id,label\n,1\n", "Row 1 .* has no request id"),
        ("request_id,label\nr1.0,\n", "Row 1 .* has no label"),
        ("request_id,lable\nr1.0,1\n", "Did you mean `label`"),
        ("request_id,source\nr1.0,1\n", "has no column 'label'"),
        ("", "is empty"),
        ("request_id,label,row\nr2.0,1,0\nr1.0,1,-1\n", "Row 2 .* no number from 0"),
        ("request_id,label,time\nr1.0,1,soon\n", "neither Unix seconds nor ISO 8601"),
        ("request_id,label,time\nr1.0,1,9e9\n", "has not come yet"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_of_it_kept(log, text, said):
    with pytest.raises(InputError, match=said):
        add(log, text)
    assert len(join_labels(log)) == 0


def test_the_command_adds_and_shows(log, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    file = tmp_path / "labels.csv"
    file.write_text("request_id,row,label\nr2.0,0,1\nnowhere,0,1\nr1.0,99,1\n")
    assert main(["labels", "add", str(file), "--model", "m", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["without_request"], added["without_row"]) == (1, 1)
    assert main(["labels", "add", str(file), "--model", "m"]) == 0
    assert "1 of them are of examples that their requests do not have" in capsys.readouterr().out
    assert main(["labels", "show", "r2.0", "--model", "m", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "1"
    assert main(["labels", "--model", "m"]) == 0
    assert "3 examples of m have a label" in capsys.readouterr().out
    assert main(["labels", "add", str(file), "--model", "n"]) == 2
    assert "No predictions of 'n'" in capsys.readouterr().err
    assert main(["labels", "add", str(tmp_path / "gone.csv"), "--model", "m"]) == 2


def test_labels_of_a_model_without_a_log_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match="agiwb serve"):
        add_labels(tmp_path / "m", tmp_path / "labels.csv")
