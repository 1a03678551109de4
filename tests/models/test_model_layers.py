"""What is particular to a family: its preprocessing, its size, and the data it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agiwb.datasets.dataset import Kind, Split, Task
from agiwb.errors import ConfigError
from agiwb.models.preprocessing import moments
from agiwb.models.registry import build_model
from agiwb.models.specification import ModelSpec, Size
from tests.conformance.model_family import answer
from tests.conformance.tiny_data import tiny_dataset

pytestmark = pytest.mark.slow


def spec_of(kind: Kind, task: Task, **size: Any) -> ModelSpec:
    return ModelSpec.of(tiny_dataset(kind, task), Size(**{"units": 8, **size}))


def with_features(spec: ModelSpec, features: Any) -> ModelSpec:
    sample = Split(features, spec.sample.labels)
    return replace(spec, sample=sample, feature_shape=features.shape[1:])


def submodel(model: Any, layer: str) -> Any:
    import keras

    return keras.Model(model.inputs, model.get_layer(layer).output)


def test_moments_leave_out_missing_values_and_spare_what_never_varies() -> None:
    values = np.array([[1, 5, 0.1, np.nan], [3, 5, 0.1, np.nan], [np.nan, 5, 0.1, np.nan]])
    mean, variance = moments(values.astype(np.float32), axes=(1,), flat_spread=10)
    assert mean == pytest.approx([2, 5, 0.1, 0])
    assert variance == pytest.approx([1, 100, 100, 100])


def test_each_number_of_an_array_is_standardised() -> None:
    spec = spec_of("array", "classification")
    unlike = spec.sample.features * np.array([1e-3, 1, 1e6, 1, 1, 0], np.float32) + 5
    spec = with_features(spec, unlike)
    seen = answer(submodel(build_model("mlp", spec), "standardize"), unlike)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(seen.std(axis=0), [1, 1, 1, 1, 1, 0], atol=1e-3)


def test_pixels_are_divided_by_the_largest_value() -> None:
    spec = spec_of("image", "classification")
    seen = answer(submodel(build_model("cnn", spec), "rescale"), spec.sample.features)
    np.testing.assert_allclose(seen, spec.sample.features / 255, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", ["cnn", "resnet", "lenet_5"])
def test_images_may_have_channels(family: str, channels: int) -> None:
    spec = spec_of("image", "classification")
    coloured = np.repeat(spec.sample.features[..., np.newaxis], channels, axis=3)
    model = build_model(family, with_features(spec, coloured))
    assert answer(model, coloured[:2]).shape == (2, 3)


@pytest.mark.parametrize(
    ("family", "parameters"), [("lenet_300_100", 266_610), ("lenet_5", 431_080)]
)
def test_the_lenets_have_the_parameters_that_papers_report(family: str, parameters: int) -> None:
    spec = replace(spec_of("image", "classification"), outputs=10)
    spec = with_features(spec, np.zeros((24, 28, 28), np.float32))
    assert build_model(family, spec).count_params() == parameters


def test_lenet_5_pads_small_images() -> None:
    spec = spec_of("image", "classification")
    small = spec.sample.features[:, :8, :9]
    model = build_model("lenet_5", with_features(spec, small))
    assert model.get_layer("padding").output.shape == (None, 16, 16, 1)
    assert not np.array_equal(*answer(model, small[:2]))


def test_more_blocks_than_the_image_can_be_halved_are_refused() -> None:
    with pytest.raises(ConfigError, match="cnn needs images of at least 32 x 32 pixels"):
        build_model("cnn", spec_of("image", "classification", layers=5))
    assert build_model("cnn", spec_of("image", "classification", layers=4)).built


@pytest.mark.parametrize("family", ["mlp", "cnn", "resnet", "rnn", "text", "tabular"])
def test_the_size_is_what_the_user_gives(family: str) -> None:
    kinds: dict[str, Kind] = {"mlp": "array", "rnn": "sequence", "text": "text", "tabular": "table"}

    def built(**size: Any) -> Any:
        return build_model(family, spec_of(kinds.get(family, "image"), "binary", **size))

    usual = built(layers=2)
    assert built(layers=2, units=16).count_params() > usual.count_params()
    assert len(built(layers=3).layers) > len(usual.layers)


@pytest.mark.parametrize("family", ["mlp", "cnn", "lenet_300_100", "mnist_mlp"])
def test_every_kernel_has_the_penalty(family: str) -> None:
    model = build_model(family, spec_of("image", "classification", l1=0.25, l2=0.5))
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    penalties = [layer.kernel_regularizer for layer in kernels[:-1]]  # not of the answer
    assert penalties
    assert all((float(one.l1), float(one.l2)) == (0.25, 0.5) for one in penalties)


def test_a_missing_number_counts_as_the_mean_and_is_told() -> None:
    spec = spec_of("table", "classification")
    model = build_model("tabular", spec)
    seen = submodel(model, "columns")
    rows = spec.sample.features[:3].copy()
    rows["income"] = [np.nan, np.nanmean(spec.sample.features["income"]), 3e6]
    numbers = answer(seen, rows)[:, :4]  # age, income, constant, and whether income is missing
    np.testing.assert_allclose(numbers[:, 1], [0, 0, numbers[2, 1]], atol=1e-6)
    assert numbers[2, 1] > 1
    assert numbers[:, 3].tolist() == [1, 0, 0]
    assert numbers[:, 2].tolist() == [0, 0, 0]
    rows["age"] = np.nan  # never missing in the sample
    assert np.isfinite(answer(model, rows)).all()


def test_unknown_categories_are_equal_and_known_ones_differ() -> None:
    import keras

    keras.utils.set_random_seed(0)  # of few units all may be silent
    spec = spec_of("table", "classification")
    model = build_model("tabular", spec)
    rows = np.repeat(spec.sample.features[:1], 5)
    rows["home_town"] = ["Atlantis", "Oz", "Ulm", "Bonn", ""]
    atlantis, oz, *known = answer(model, rows)
    np.testing.assert_array_equal(atlantis, oz)
    assert len({tuple(row) for row in [oz, *known]}) == 4


@pytest.mark.parametrize("name", ["hours per week", "Größe (cm)", "class_1"])
def test_columns_may_have_any_usual_name(name: str) -> None:
    spec = spec_of("table", "classification")
    table = spec.sample.features
    table = table.astype([(name if key == "job" else key, kind) for key, (kind, _) in
                          table.dtype.fields.items()])  # fmt: skip
    spec = replace(spec, sample=Split(table, spec.sample.labels))
    assert answer(build_model("tabular", spec), table[:2]).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"), [("km/h", "allows no / in names"), ("standardize", "name of a column")]
)
def test_a_column_with_a_name_that_keras_cannot_take_is_named(name: str, message: str) -> None:
    spec = spec_of("table", "classification")
    table = np.zeros(24, [(name, "f4"), ("age", "f4")])
    with pytest.raises(ConfigError, match=f"{message}.*Rename the column"):
        build_model("tabular", replace(spec, sample=Split(table, spec.sample.labels)))


@pytest.mark.parametrize("kind", ["f4", "O"])
def test_a_table_may_have_one_column(kind: str) -> None:
    spec = spec_of("table", "binary")
    table = np.zeros(24, [("only", kind)])
    table["only"] = np.arange(24) if kind == "f4" else [f"n{row % 3}" for row in range(24)]
    spec = replace(spec, sample=Split(table, spec.sample.labels))
    assert answer(build_model("tabular", spec), table).shape == (24, 2)


@pytest.mark.parametrize("encoder", ["pooled", "transformer"])
def test_text_is_read_without_case_punctuation_and_beyond_its_length(encoder: str) -> None:
    model = build_model("text", spec_of("text", "binary", encoder=encoder, length=3))
    texts = ["A calm sea", "a  CALM, sea!", "a calm sea sings", "a calm captain", "calm a sea"]
    same, again, longer, other, swapped = answer(model, np.array(texts, dtype=object))
    # Rows of one batch may be rounded differently.
    np.testing.assert_allclose(same, again, atol=1e-6)
    np.testing.assert_allclose(same, longer, atol=1e-6)
    assert not np.allclose(same, other, atol=1e-6)
    assert np.allclose(same, swapped, atol=1e-6) == (encoder == "pooled")  # who knows positions


def test_a_text_without_words_does_not_spoil_training() -> None:
    spec = spec_of("text", "binary")
    model = build_model("text", spec)
    texts = np.array(["", "?!", "calm"], dtype=object)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(*map(_tensor, (texts, np.array([0, 1, 1]))))
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_the_length_of_texts_is_that_of_most() -> None:
    spec = spec_of("text", "binary")
    lengths = [1] * 2 + [7] * 21 + [400]
    texts = np.array([" ".join(["word"] * length) for length in lengths], dtype=object)
    model = build_model("text", replace(spec, sample=Split(texts, spec.sample.labels)))
    assert model.get_layer("words").output.shape == (None, 7)


def test_ratings_are_in_their_own_unit_and_clicks_are_probabilities() -> None:
    spec = spec_of("pairs", "ranking")
    clicks = answer(build_model("two_tower", spec), spec.sample.features)
    assert ((clicks > 0) & (clicks < 1)).all()
    ratings = np.where(spec.sample.labels, 5, 4).astype(np.float32)
    rated = replace(spec, sample=Split(spec.sample.features, ratings))
    stars = answer(build_model("two_tower", rated), spec.sample.features)
    assert ((stars > 4) & (stars < 5)).all()


def test_two_towers_learn_who_likes_what() -> None:
    import keras

    spec = spec_of("pairs", "ranking")
    likes = np.array([user != "bob" or item == "tea" for user, item in spec.sample.features])
    spec = replace(spec, sample=Split(spec.sample.features, likes.astype(np.float32)))
    keras.utils.set_random_seed(0)
    model = build_model("two_tower", spec)
    model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy", run_eagerly=True)
    inputs = {side: _tensor(spec.sample.features[side].copy()) for side in ("user", "item")}
    for _ in range(40):
        model.train_on_batch(inputs, spec.sample.labels)
    assert ((answer(model, spec.sample.features)[:, 0] > 0.5) == likes).all()


def test_equal_labels_have_no_spread_to_divide_by() -> None:
    spec = spec_of("array", "regression")
    spec = replace(spec, sample=Split(spec.sample.features, np.full(24, 7, np.float32)))
    assert np.isfinite(answer(build_model("mlp", spec), spec.sample.features)).all()


def test_ranking_is_for_two_towers() -> None:
    with pytest.raises(ConfigError, match="architecture: two_tower"):
        build_model("mlp", replace(spec_of("array", "regression"), task="ranking"))


def _tensor(values: Any) -> Any:
    import tensorflow as tf

    return tf.convert_to_tensor(values)
