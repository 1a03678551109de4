from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agiwb import (
    ExplainConfig,
    ExplainRecord,
    TrainConfig,
    explain,
    load_dataset,
    plot_explanation,
    plot_explanation_slices,
    train,
)
from agiwb.datasets.dataset import Dataset, Kind, Task
from agiwb.datasets.source import say_nothing
from agiwb.errors import ConfigError, InputError, NotFoundError
from agiwb.explanation.carry_out import Explanation, carry_out
from agiwb.explanation.choices import choose_method, sampled_rows
from agiwb.explanation.texts import open_texts
from agiwb.models.registry import build_model, default_family
from agiwb.models.specification import ModelSpec, Size
from agiwb.reporting.explanation import ShadedTexts
from agiwb.runs.record import Record
from tests.conformance.tiny_data import tiny_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def explained_digits(digits_run: Record) -> ExplainRecord:
    return explain(ExplainConfig(model="digits-mlp", examples=30))


def test_the_attributions_of_images_sum_to_the_answers(
    digits_run: Record, explained_digits: ExplainRecord
) -> None:
    import keras

    record, data = explained_digits, load_dataset("digits")
    stored = np.load(record.file("attributions.npz"))
    table = pd.read_parquet(record.file("examples.parquet"))
    model = keras.models.load_model(digits_run.file("model.keras"))
    images = data.test.features[table["row"]]
    assert np.array_equal(stored["features"], images)
    probabilities = model.predict(images, verbose=0)
    black = model.predict(np.zeros_like(images[:1]), verbose=0)[0]
    targets = probabilities.argmax(axis=1)
    expected = probabilities.max(axis=1) - black[targets]
    assert list(table["target"]) == [data.classes[target] for target in targets]
    misses = np.abs(stored["contributions"].sum(axis=(1, 2)) - expected)
    assert (misses <= 0.0101 * np.abs(expected) + 1e-5).all()
    assert record.completeness_gap == pytest.approx(table["gap"].max())
    assert record.completeness_gap <= record.config.tolerance
    assert record.complete
    assert not record.problems
    assert record.method == "integrated_gradients"
    assert record.baseline == "zeros"


def test_what_matters_is_told_overall_and_by_slice(explained_digits: ExplainRecord) -> None:
    record = explained_digits
    stored = np.load(record.file("attributions.npz"))
    means = np.abs(stored["contributions"]).mean(axis=0)
    row, column = np.unravel_index(means.argmax(), means.shape)
    first = record.features[0]
    assert first.feature == f"pixel {row}, {column}"
    assert first.importance == pytest.approx(means.max(), rel=1e-5)
    assert first.interval.low < first.importance < first.interval.high
    assert {part.column for part in record.slices} == {"label"}
    assert sum(part.examples for part in record.slices) == record.examples == 30
    labels = load_dataset("digits").test.labels[sampled_rows(record.config, record.method, 360)]
    own = np.abs(stored["contributions"])[labels == 3].mean(axis=0)
    three = next(part for part in record.slices if part.value == "3")
    assert three.features[0].importance == pytest.approx(own.max(), rel=1e-5)


def test_pictures_of_images(explained_digits: ExplainRecord) -> None:
    for picture in (plot_explanation(explained_digits), plot_explanation_slices(explained_digits)):
        assert picture.png().startswith(b"\x89PNG")
        assert "probability" in picture.alt


def test_a_named_class_is_explained_in_all_examples(digits_run: Record) -> None:
    import keras

    record = explain(ExplainConfig(model="digits-mlp", examples=6, target="3", steps=8))
    table = pd.read_parquet(record.file("examples.parquet"))
    assert set(table["target"]) == {"3"}
    model = keras.models.load_model(digits_run.file("model.keras"))
    images = load_dataset("digits").test.features[table["row"]]
    assert list(table["answer"]) == pytest.approx(model.predict(images, verbose=0)[:, 3].tolist())


def test_what_does_not_add_up_is_a_problem(digits_run: Record) -> None:
    record = explain(
        ExplainConfig(model="digits-mlp", examples=8, steps=2, max_steps=2, tolerance=1e-5)
    )
    assert not record.complete
    assert "Give more `max_steps`" in record.problems[0]


FILLING = ["the", "film", "has", "a", "story", "<b>of", "people</b>", "--"]


@pytest.fixture(scope="module")
def explained_films(
    trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExplainRecord:
    draw, folder = np.random.default_rng(0), tmp_path_factory.mktemp("films")
    for name, telling in (("bad", ["awful", "dull"]), ("good", ["lovely", "great"])):
        (folder / name).mkdir()
        for number in range(60):
            words = list(draw.choice(FILLING, 5))
            words.insert(draw.integers(5), f"{draw.choice(telling).capitalize()}!")
            (folder / name / f"{number}.txt").write_text(" ".join(words))
    config = {"architecture": "text", "units": 8, "epochs": 25, "learning_rate": 0.02}
    model = train(TrainConfig(dataset=str(folder), **config))
    return explain(ExplainConfig(model=model.run.id))


def test_texts_rest_on_the_words_that_tell(explained_films: ExplainRecord) -> None:
    record = explained_films
    assert record.baseline == "padding"
    assert record.complete
    assert {one.feature for one in record.features[:4]} == {"awful", "dull", "lovely", "great"}
    words = pd.read_parquet(record.file("words.parquet"))
    table = pd.read_parquet(record.file("examples.parquet"))
    sums = words.groupby("example")["attribution"].sum()
    expected = table["answer"] - table["reference_answer"]
    assert ((sums - expected).abs() <= 0.0101 * expected.abs() + 1e-5).all()
    assert {"Awful!", "Lovely!"} <= set(words["word"])
    assert "--" not in set(words["word"])  # Keras does not read it


def test_texts_are_shown_with_their_words_shaded(explained_films: ExplainRecord) -> None:
    shown = plot_explanation(explained_films)
    assert isinstance(shown, ShadedTexts)
    assert ">Lovely!<br>" in shown.html()
    assert "<b>of" not in shown.html()
    assert "&lt;b&gt;of" in shown.html()
    assert "label" in plot_explanation_slices(explained_films).alt


@pytest.fixture(scope="module")
def fruit(trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    draw, path = np.random.default_rng(0), tmp_path_factory.mktemp("fruit") / "fruit.csv"
    lines = ["weight,colour,noise,farm,label"]
    for _ in range(400):
        colour, weight = draw.choice(["red", "green"]), draw.normal()
        is_ripe = weight + 2 * (colour == "red") > 1
        shown = "" if draw.random() < 0.05 else f"{weight:.3f}"
        farm = draw.choice(["north", "south"])
        lines.append(f"{shown},{colour},{draw.normal():.3f},{farm},{'ripe' if is_ripe else 'raw'}")
    path.write_text("\n".join(lines))
    config = {"architecture": "tabular", "units": 16, "epochs": 15, "learning_rate": 0.01}
    return train(TrainConfig(dataset=str(path), **config))


def test_tables_by_permutation(fruit: Record) -> None:
    record = explain(ExplainConfig(model=fruit.run.id, slice_column="farm", repeats=5))
    assert record.method == "permutation"
    assert record.completeness_gap is None
    assert [one.feature for one in record.features[:2]] == ["colour", "weight"]
    assert record.features[0].interval.low > 0
    assert {part.value for part in record.slices} == {"north", "south"}
    assert record.unit == "accuracy"
    stored = pd.read_parquet(record.file("features.parquet"))
    assert len(stored) == 4 * 3
    for picture in (plot_explanation(record), plot_explanation_slices(record)):
        assert picture.png().startswith(b"\x89PNG")
        assert "drop of accuracy" in picture.alt


def test_tables_by_shap(fruit: Record) -> None:
    record = explain(ExplainConfig(model=fruit.run.id, method="shap", examples=12, background=20))
    assert record.completeness_gap < 1e-4  # local accuracy
    assert [one.feature for one in record.features[:2]] == ["colour", "weight"]
    stored = np.load(record.file("attributions.npz"))
    table = pd.read_parquet(record.file("examples.parquet"))
    assert list(stored["columns"]) == ["weight", "colour", "noise", "farm"]
    sums = stored["contributions"].sum(axis=1) + table["reference_answer"]
    assert list(sums) == pytest.approx(list(table["answer"]), abs=1e-4)


class Told(SimpleNamespace):
    """As much of a run's context as a method sees."""

    progress = staticmethod(say_nothing)
    say = staticmethod(print)


def untrained(kind: Kind, task: Task, **config: object) -> tuple[Explanation, Dataset]:
    import keras

    data = tiny_dataset(kind, task)
    keras.utils.set_random_seed(1)
    model = build_model(default_family(kind, task), ModelSpec.of(data, Size(units=8)))
    asked = ExplainConfig(**config)
    return carry_out(asked, choose_method(asked, data), model, data, data.test, Told()), data


@pytest.mark.parametrize(
    ("kind", "task", "shape"),
    [
        ("image", "binary", (16, 16)),
        ("array", "regression", (6,)),
        ("sequence", "classification", (7, 3)),
        ("text", "multilabel", None),
    ],
)
def test_every_kind_adds_up(kind: Kind, task: Task, shape: tuple[int, ...] | None) -> None:
    found, data = untrained(kind, task)
    assert found.attribution.gaps.max() <= 0.01
    assert np.abs(found.attribution.contributions).max() > 0
    if shape:
        assert found.attribution.contributions.shape == (len(data.test), *shape)
    slices = len(data.classes) if task in {"binary", "classification"} else 0
    assert len(found.groups) == 1 + slices


def test_one_baseline_has_one_answer_for_all_examples() -> None:
    found, _ = untrained("array", "regression")
    assert found.baseline == "mean"
    assert np.ptp(found.attribution.reference_answers) == 0


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_permutation_takes_the_tasks_own_metric(task: Task) -> None:
    found, data = untrained("table", task, repeats=2)
    assert found.metric == {"regression": "rmse", "multilabel": "auc"}[task]
    assert found.names == data.columns
    mean = found.groups[0].figures[0]
    assert mean[found.names.index("constant")] == 0
    assert np.abs(mean).max() > 0


def test_a_text_model_that_cannot_be_opened_is_refused() -> None:
    import keras

    inputs = keras.Input((), dtype="string")
    index = keras.layers.StringLookup(vocabulary=["a"])(inputs)
    answer = keras.layers.Embedding(2, 2)(index)
    with pytest.raises(ConfigError, match="0 TextVectorization layers"):
        open_texts(keras.Model(inputs, answer), np.array(["a"], object), np.zeros((1, 2)))


def write_pairs(folder: Path) -> str:
    lines = [f"u{n % 7},i{n % 11},{n % 2}" for n in range(60)]
    (folder / "pairs.csv").write_text("\n".join(["user,item,rating", *lines]))
    return str(folder / "pairs.csv")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": "eleven"}, "no class 'eleven'"),
        ({"slice_column": "farm"}, "no column 'farm'.*label"),
        ({"model": "digits.onnx"}, "a .onnx file, and only a Keras model"),
        ({"model": "."}, "a folder, and only a Keras model"),
        ({"dataset": "iris"}, "`dataset` iris does not fit"),
        ({"dataset": "iris", "method": "integrated_gradients"}, "`method: permutation`"),
        ({"dataset": "pairs"}, "is pairs of user and item"),
        ({"baseline": "mode"}, "should be 'auto', 'zeros' or 'mean'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    fields: dict[str, str], message: str, digits_run: Record, tmp_path: Path
) -> None:
    given = {"model": "digits-mlp", **fields}
    if given.get("dataset") == "pairs":
        given["dataset"] = write_pairs(tmp_path)
    with pytest.raises(InputError, match=message):
        explain(ExplainConfig(**given))


def test_a_model_that_is_not_there_is_named(digits_run: Record) -> None:
    with pytest.raises(NotFoundError, match="no model 'nothing'"):
        explain(ExplainConfig(model="nothing"))


@pytest.mark.parametrize(
    ("kind", "method", "message"),
    [
        ("text", "shap", "is text"),
        ("text", "permutation", "is text"),
        ("pairs", "auto", "pairs of user and item"),
    ],
)
def test_methods_that_do_not_suit_the_data_are_refused(
    kind: Kind, method: str, message: str
) -> None:
    task: Task = "ranking" if kind == "pairs" else "binary"
    with pytest.raises(ConfigError, match=message):
        choose_method(ExplainConfig(method=method), tiny_dataset(kind, task))


def test_texts_have_no_mean() -> None:
    with pytest.raises(ConfigError, match="starts from padding"):
        untrained("text", "binary", baseline="mean")
