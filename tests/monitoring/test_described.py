"""Tables and texts are described so that what is quiet stays quiet and what changed is named."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split
from agiwb.errors import DatasetError
from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.categories import compare_codes
from agiwb.monitoring.described import describe, require_describable
from agiwb.monitoring.drift import compare_features
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.monitoring.texts import TextDescription, words_of
from agiwb.monitoring.two_sample import compare_samples

EACH = 0.05 / 12
WORDS = np.array([f"w{place}" for place in range(5_000)])
SHARES = 1 / np.arange(1, 5_001)


def write(rng, count, words=WORDS):
    """Texts of words as frequent as words are (Zipf), a third of which are rare."""
    shares = SHARES / SHARES.sum()
    lengths = rng.geometric(1 / 20, count) + 2
    return np.array([" ".join(rng.choice(words, n, p=shares)) for n in lengths], object)


def as_table(price, device):
    made = np.empty(len(price), [("price", np.float32), ("device", object)])
    made["price"], made["device"] = price, device
    return made


def dataset(kind, features, task="binary"):
    split = Split(features, np.zeros(len(features), np.int64))
    return Dataset("d", ("a", "b"), 1.0, split, split, split, task=task, kind=kind)


def drifted(described, window):
    reference = described.reference
    known = NumericSketch.of(NumericBins.from_reference(reference, described.names), reference)
    rows = described.numbers(window)
    found = compare_features(
        known, NumericSketch.of(known.bins, rows), calibrate(reference, len(rows)), EACH
    )
    return [name for name, is_it in zip(described.names, found.drifted, strict=True) if is_it]


@pytest.fixture(scope="module")
def texts():
    return TextDescription(write(np.random.default_rng(0), 1_000))


def test_words_are_told_apart_as_keras_does():
    assert words_of("Don't  STOP,\nnow!") == ["dont", "stop", "now"]
    assert words_of(" .") == []


@pytest.mark.slow
def test_words_are_those_of_the_layer_that_reads_them():
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    from keras import layers

    text = "It's 5 o'clock (UTC) - [nearly]; \"go\" on_there, Ünder {x}~"
    layer = layers.TextVectorization()
    layer.adapt([text])
    assert set(layer.get_vocabulary(include_special_tokens=False)) == set(words_of(text))


@pytest.mark.slow
def test_quiet_texts_rarely_alarm(texts):
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(8):
        window = write(rng, 250)
        reference, served = texts.embedded(window)
        told_apart = compare_samples(reference, served).p_value < EACH
        alarms += bool(drifted(texts, window) or texts.quality(window, EACH) or told_apart)
    assert alarms <= 1


def test_words_that_nobody_knew_and_longer_texts_are_drift(texts):
    rng = np.random.default_rng(2)
    assert "unseen_words" in drifted(texts, write(rng, 250, np.char.add(WORDS, "x")))
    longer = [" ".join(pair) for pair in zip(write(rng, 250), write(rng, 250), strict=True)]
    assert {"characters", "words"} <= set(drifted(texts, np.array(longer, object)))


def test_other_words_of_equal_length_are_told_by_their_n_grams(texts):
    rng = np.random.default_rng(3)
    turned = write(rng, 400, WORDS[np.r_[1:20, 0:1, 20:5_000]])
    assert drifted(texts, turned) == []
    reference, quiet, served = texts.embedded(write(rng, 400), turned)
    assert compare_samples(reference, quiet).p_value > EACH
    assert compare_samples(reference, served).p_value < EACH


def test_empty_and_broken_texts_are_named(texts):
    window = write(np.random.default_rng(4), 200)
    assert texts.quality(window, EACH) == ()
    window[:30], window[30:70] = " .", "caf\N{REPLACEMENT CHARACTER} au lait"
    found = {one.kind: one for one in texts.quality(window, EACH)}
    assert found["empty"].share == 0.15
    assert found["undecodable"].share == 0.2
    assert "20.0% of the texts have characters that could not be read" in (
        found["undecodable"].sentence
    )
    one = np.array(["word"], object)
    assert texts.quality(one, EACH) == ()
    assert texts.numbers(one).tolist() == [[4, 1, 1]]


def test_a_tables_gaps_count_only_if_there_are_more_than_in_training():
    rng = np.random.default_rng(5)
    price = rng.normal(size=800).astype(np.float32)
    price[rng.random(800) < 0.1] = np.nan
    described = describe(dataset("table", as_table(price, rng.choice(["a", "b"], 800))))
    assert described.names == ("price",)
    quiet = as_table(rng.permutation(price)[:300], "a")
    assert described.quality(quiet, EACH) == ()
    quiet["price"][:150] = np.nan
    (found,) = described.quality(quiet, EACH)
    assert found.kind == "not a number"
    assert "; in training it is in" in found.sentence
    with_other = described.with_number(quiet, 0, np.zeros(300))
    assert not with_other["price"].any()
    assert with_other["device"].tolist() == quiet["device"].tolist()
    assert all(np.isfinite(points).all() for points in described.embedded(quiet))


def test_new_categories_and_other_shares_of_them_are_drift():
    rng = np.random.default_rng(6)
    known = rng.choice(["phone", "desktop"], 1_000).astype(object)
    none, alike = np.zeros((1_000, 0)), np.ones(0)

    def compare(served):
        return compare_codes(none, none[: len(served)], (), alike, EACH, {"on": (known, served)})

    window = rng.choice(["phone", "desktop"], 300).astype(object)
    assert compare(window) == ()
    window[:8] = "watch"
    (found,) = compare(window)
    assert found.unseen == ("watch",)
    assert found.sentence.startswith("The categories of on come in other proportions, and 2.7% ")
    window[:] = "phone"
    assert compare(window)[0].divergence > 0.4


def test_a_table_without_numbers_is_described_too():
    columns = np.empty(100, [("on", object)])
    columns["on"] = np.random.default_rng(7).choice(["a", "b"], 100)
    described = describe(dataset("table", columns))
    assert described.names == ()
    assert drifted(described, columns) == []
    assert described.quality(columns, EACH) == ()
    assert described.embedded(columns)[1].shape == (100, 2)


def test_what_cannot_be_described_is_refused():
    with pytest.raises(DatasetError, match="arrays, tables and texts, each of one class"):
        require_describable(
            dataset("table", as_table(np.zeros(3), "a"), task="regression"), "It", ""
        )
