from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest

from agiwb.errors import ConfigError
from agiwb.serving.prediction_log import LogPolicy, PredictionLog, iterate_predictions
from agiwb.serving.prediction_log.redaction import Redactor
from tests.serving.prediction_log.logged_predictions import prediction, write

KEY = b"0123456789abcdef0123456789abcdef"
NAME, AGE, INCOME = "Ada Lovelace", np.float32(36.123456), np.float32(51234.567)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


def personal():
    return prediction(
        1,
        inputs={
            "name": np.array([[NAME]], object),
            "numbers": np.array([[AGE, INCOME, 7]], np.float32),
            "codes": np.array([[12345, 678]], np.int64),
        },
        outputs={"p": np.float32([[0.25, 0.75]]), "echo": np.array([NAME], object)},
    )


def redacted(entry=None, **policy):
    return Redactor(LogPolicy.from_mapping(policy)).redact(entry or personal())


def rule(action, tensor, **more):
    return {"action": action, "input": tensor, **more}


@pytest.mark.parametrize("action", ["drop", "hash", "mask"])
def test_what_is_hidden_is_not_in_the_bytes_of_the_file(tmp_path, key_file, action):
    rules = [
        rule(action, "name"),
        rule(action, "numbers", features=["age", 1]),
        rule(action, "codes", features=[0]),
        {"action": action, "output": "echo"},
    ]
    path = write(
        tmp_path,
        personal(),
        redact=rules,
        feature_names={"numbers": ("age", "income", "rooms")},
        hash_key_file=key_file if action == "hash" else None,
    )
    content = path.read_bytes()
    for secret in (
        *(NAME.encode(), b"Lovelace", AGE.tobytes(), INCOME.tobytes()),
        *(np.int64(12345).tobytes(), KEY),
    ):
        assert secret not in content
    # What no rule names is there, which shows that the search would have found the rest.
    assert np.float32(7).tobytes() in content
    assert np.int64(678).tobytes() in content
    bare = write(tmp_path / "bare", personal()).read_bytes()
    assert all(secret in bare for secret in (NAME.encode(), AGE.tobytes(), INCOME.tobytes()))


def test_hashes_are_hmac_sha256_and_join(key_file):
    result = redacted(redact=[rule("hash", "name")], hash_key_file=key_file)
    expected = hmac.new(KEY, NAME.encode(), hashlib.sha256).hexdigest()[:32]
    assert result.inputs["name"].tolist() == [[expected]]


def test_a_hashed_feature_stays_a_number(key_file):
    rules = [
        rule("hash", "numbers", features=[0]),
        rule("hash", "codes", features=[1]),
        rule("hash", "name", features=[0]),
    ]
    one, two = (redacted(redact=rules, hash_key_file=key_file) for _ in range(2))
    for name, array in one.inputs.items():
        np.testing.assert_array_equal(array, two.inputs[name])
        assert array.dtype == personal().inputs[name].dtype
    assert 0 <= one.inputs["numbers"][0, 0] < 1
    assert one.inputs["numbers"][0, 1:].tolist() == [INCOME, 7]
    assert one.inputs["codes"][0, 0] == 12345
    assert one.inputs["codes"][0, 1] != 678
    assert len(one.inputs["name"][0, 0]) == 32


def test_masks_have_the_type_of_what_they_hide():
    rules = [rule("mask", "name"), rule("mask", "numbers"), rule("mask", "codes", features=[1])]
    inputs = redacted(redact=rules).inputs
    assert inputs["name"].tolist() == [[""]]
    assert np.isnan(inputs["numbers"]).all()
    assert inputs["codes"].tolist() == [[12345, 0]]


def test_numbers_are_rounded_to_decimals_or_steps():
    rules = [
        rule("round", "numbers", features=[0], decimals=1),
        rule("round", "numbers", features=[1], step=1000),
        rule("round", "codes", step=100),
    ]
    inputs = redacted(redact=rules).inputs
    np.testing.assert_array_equal(inputs["numbers"], np.float32([[36.1, 51000, 7]]))
    assert inputs["codes"].tolist() == [[12300, 700]]
    assert inputs["codes"].dtype == np.int64


def test_dropped_features_leave_the_others_together():
    inputs = redacted(redact=[rule("drop", "numbers", features=[1])]).inputs
    np.testing.assert_array_equal(inputs["numbers"], np.float32([[AGE, 7]]))


def test_a_feature_can_be_kept_of_what_is_dropped_or_masked():
    rules = [rule("drop", "numbers"), rule("keep", "numbers", features=[2])]
    assert redacted(redact=rules).inputs["numbers"].tolist() == [[7]]
    rules = [rule("mask", "codes"), rule("keep", "codes", features=[0])]
    assert redacted(redact=rules).inputs["codes"].tolist() == [[12345, 0]]


def test_only_what_is_named_is_written_if_the_policy_says_so():
    result = redacted(redact=[rule("keep", "codes")], unnamed="drop")
    assert list(result.inputs) == ["codes"]
    assert list(result.outputs) == ["p", "echo"]


def test_a_rule_may_be_for_one_model_and_the_last_one_wins():
    rules = [rule("mask", "codes"), rule("keep", "codes", model="m")]
    assert redacted(redact=rules).inputs["codes"].tolist() == [[12345, 678]]
    other = prediction(1, model="other", inputs=personal().inputs)
    assert redacted(other, redact=rules).inputs["codes"].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "impossible",
    [rule("round", "name", decimals=1), rule("mask", "numbers", features=[3])],
)
def test_what_a_rule_cannot_be_applied_to_is_dropped(impossible):
    assert impossible["input"] not in redacted(redact=[impossible]).inputs


def test_the_answers_own_arrays_are_not_changed():
    entry = personal()
    redacted(entry, redact=[rule("mask", "numbers", features=[0]), rule("mask", "codes")])
    assert entry.inputs["numbers"][0, 0] == AGE
    assert entry.inputs["codes"].tolist() == [[12345, 678]]


@pytest.mark.parametrize("key", [None, b"short"])
def test_a_key_that_is_missing_or_short_is_told_and_not_shown(tmp_path, key, monkeypatch):
    policy = LogPolicy.from_mapping(
        {"redact": [rule("hash", "name")], "hash_key_file": tmp_path / "k"}
    )
    if key:
        (tmp_path / "k").write_bytes(key)
    with pytest.raises(ConfigError, match="openssl rand") as caught:
        PredictionLog(tmp_path, policy=policy)
    assert "short" not in str(caught.value)
    policy = LogPolicy.from_mapping({"redact": [rule("hash", "name")], "hash_key_env": "LOG_KEY"})
    with pytest.raises(ConfigError, match="variable LOG_KEY has 0 bytes"):
        Redactor(policy)
    monkeypatch.setenv("LOG_KEY", KEY.decode())
    assert len(Redactor(policy).redact(personal()).inputs["name"][0, 0]) == 32


def test_what_was_redacted_is_read_back_as_such(tmp_path):
    write(tmp_path, personal(), redact=[rule("mask", "name"), rule("drop", "numbers")])
    [found] = iterate_predictions(tmp_path / "m")
    assert {name: array.tolist() for name, array in found.inputs.items()} == {
        "name": [[""]],
        "codes": [[12345, 678]],
    }
