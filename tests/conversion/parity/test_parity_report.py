"""The figures of a parity report, and what does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.conversion.parity.check import Asked, judge
from agiwb.conversion.parity.errors import kl_divergence, meaning_of, refuse_nonfinite
from agiwb.conversion.parity.paired import change_of_score
from agiwb.conversion.parity.questions import REAL, TEST, draw_questions
from agiwb.conversion.parity.reference import Reference, ask_reference, chance_problem
from agiwb.conversion.parity.report import ParityReport, compare, told
from agiwb.conversion.parity.tensor_file import Cases
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, InputError, WorkError
from agiwb.runtimes.runtime import Tensors
from agiwb.statistics import Interval

LABELS = np.array([0, 1, 0])
ROWS = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
EXPECTED: Cases = {REAL: {"p": ROWS}, "zeros": {"p": np.array([[0.5, 0.5]])}, TEST: {"p": ROWS}}


def reference_of(
    answers: Cases, labels: NDArray[Any] = LABELS, metric: str = "accuracy", chance: float = 0.5
) -> Reference:
    both = {REAL: labels, TEST: labels}
    return Reference(answers, (), both, metric, Interval(0.85, 0.95), chance)


REFERENCE = reference_of(EXPECTED)


def changed(rows: Any, answers: Cases = EXPECTED) -> Cases:
    return {**answers, REAL: {"p": np.array(rows)}}


def test_equal_answers_pass_with_no_error() -> None:
    report = compare("onnx", EXPECTED, REFERENCE)
    assert report.passed
    assert (report.max_abs_error, report.max_rel_error, report.top1_agreement) == (0, 0, 1)
    assert report.kl_nats == 0
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


def test_a_single_output_may_be_renamed() -> None:
    found = {case: {"probabilities": rows["p"]} for case, rows in EXPECTED.items()}
    assert compare("onnx", found, REFERENCE).passed


def test_another_most_probable_class_fails_in_words_with_figures() -> None:
    report = compare("litert", changed([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), REFERENCE)
    assert not report.passed
    assert report.max_abs_error == pytest.approx(0.2)
    assert report.max_rel_error == pytest.approx(0.5)  # 0.6 instead of 0.4
    far, other = report.problems
    assert far == (
        "litert: the probabilities differ from the model's by up to 0.2 (real examples); "
        "1e-05 is allowed."
    )
    assert other == (
        "litert: the most probable class is the model's for 2 of 3 real examples; "
        "100.0% is required."
    )


def test_a_tie_may_fall_either_way() -> None:
    tied = np.array([[0.5, 0.5 - 1e-7]] * 3)
    report = compare("onnx", changed(tied[:, ::-1]), reference_of(changed(tied)))
    assert report.passed
    assert report.top1_agreement == 1


def test_an_edge_case_alone_can_fail_and_is_named() -> None:
    found = {**EXPECTED, "zeros": {"p": np.array([[0.51, 0.49]])}}
    report = compare("saved_model", found, REFERENCE)
    assert report.top1_agreement == 1
    assert len(report.problems) == 1
    assert "(zeros)" in report.problems[0]


def test_errors_of_tiny_probabilities_are_relative_to_a_thousandth() -> None:
    tiny = changed([[1.0, 1e-9]] * 3)
    report = compare("onnx", changed([[1.0, 2e-9]] * 3), reference_of(tiny))
    assert report.max_rel_error == pytest.approx(1e-6)


def test_agreement_with_a_constant_predictor_proves_nothing() -> None:
    constant = reference_of(EXPECTED, chance=0.9)
    report = compare("onnx", EXPECTED, constant)
    assert report.max_abs_error == 0
    assert not report.passed
    assert "no better than chance on digits" in chance_problem(constant, "digits")[0]
    assert "at chance" in told(report, 10)


def probabilities(count: int, seed: int = 0) -> NDArray[np.floating]:
    rows = np.random.default_rng(seed).dirichlet([0.3] * 4, count)
    return np.asarray(rows)


def with_swapped(rows: NDArray[np.floating], count: int) -> NDArray[np.floating]:
    """Return the rows, the first of which have their two most probable classes swapped."""
    swapped = rows.copy()
    for row in swapped[:count]:
        first, second = np.argsort(row)[::-1][:2]
        row[[first, second]] = row[[second, first]]
    return swapped


@pytest.mark.parametrize(("differing", "of", "passes"), [(2, 100, True), (3, 100, False),
                                                         (8, 100, False), (40, 2000, False),
                                                         (15, 2000, True)])  # fmt: skip
def test_agreement_of_quantised_formats_knows_how_many_examples_there_are(
    differing: int, of: int, *, passes: bool
) -> None:
    right = probabilities(of)
    found = with_swapped(right, differing)
    labels = np.random.default_rng(1).integers(4, size=of)  # nobody is right: no accuracy is lost
    reference = reference_of({REAL: {"p": right}, TEST: {"p": right}}, labels)
    report = compare("litert_int8", {REAL: {"p": found}, TEST: {"p": found}}, reference)
    assert report.top1_agreement == pytest.approx(1 - differing / of)
    told_of = [problem for problem in report.problems if "most probable class" in problem]
    assert (not told_of) == passes


def test_quantised_formats_have_no_limit_for_a_single_error_but_one_for_the_divergence() -> None:
    right = np.array([[0.98, 0.02]] * 200)
    one = right.copy()
    one[0] = [0.6, 0.4]
    reference = reference_of({REAL: {"p": right}, TEST: {"p": right}}, np.zeros(200, int))
    assert compare("litert_int8", {REAL: {"p": one}, TEST: {"p": one}}, reference).passed
    all_of_them = np.array([[0.6, 0.4]] * 200)
    report = compare("litert_int8", {REAL: {"p": all_of_them}, TEST: {"p": one}}, reference)
    assert [problem.split(";")[0] for problem in report.problems] == [
        "litert_int8: the probabilities are 0.42 nats from the model's on average"
    ]


def test_divergence_is_that_of_scipy() -> None:
    from scipy.stats import entropy

    p, q = probabilities(50, 1), probabilities(50, 2)
    p, q = (np.maximum(each, 1e-6) for each in (p, q))
    assert kl_divergence(p, q) == pytest.approx(float(entropy(p, q, axis=1).mean()), rel=1e-4)


def test_a_regression_is_judged_on_the_scale_of_its_answers() -> None:
    prices = np.random.default_rng(0).normal(2e5, 5e4, (100, 1))
    labels = prices[:, 0] + 1e3
    cases: Cases = {REAL: {"price": prices}, TEST: {"price": prices}}
    reference = reference_of(cases, labels, "rmse", chance=5e4)
    near = {case: {"price": prices * (1 + 1e-6)} for case in cases}
    report = compare("onnx", near, reference)
    assert report.passed
    assert report.max_abs_error > 0.1
    assert (report.top1_agreement, report.kl_nats) == (None, None)
    far = {case: {"price": prices * 1.01} for case in cases}
    problem = compare("onnx", far, reference).problems[0]
    assert problem.startswith("onnx: the output price differs from the model's by up to 0.01 of")


def test_a_quantised_regression_may_not_predict_worse() -> None:
    draw = np.random.default_rng(0)
    labels = draw.normal(size=400)
    good = (labels + 0.1 * draw.normal(size=400))[:, np.newaxis]
    worse = good + 0.05 * draw.normal(size=good.shape)
    cases: Cases = {REAL: {"y": good}, TEST: {"y": good}}
    reference = reference_of(cases, labels, "rmse", chance=1.0)
    report = compare("litert_int8", {case: {"y": worse} for case in cases}, reference)
    assert len(report.problems) == 1
    assert "the rmse on the real examples" in report.problems[0]
    interval = report.change.loss_interval
    assert interval is not None
    assert 0 < interval[0] < report.change.loss < interval[1]


def test_accuracy_is_lost_only_if_more_than_chance_explains() -> None:
    labels = np.zeros(300, int)
    right = np.tile([0.9, 0.1], (300, 1))
    few, many = with_swapped(right, 3), with_swapped(right, 20)
    assert not change_of_score("accuracy", labels, few, right).is_certain
    lost = change_of_score("accuracy", labels, many, right)
    assert lost.is_certain
    assert lost.loss == pytest.approx(20 / 300)
    assert not change_of_score("accuracy", labels, right, many).is_certain  # it is better


def test_outputs_are_told_apart_by_their_values() -> None:
    assert meaning_of(probabilities(5)) == "probabilities"
    assert meaning_of(np.array([[0.9, 0.8]])) == "decisions"
    assert meaning_of(np.array([[0.9]])) == "decisions"
    assert meaning_of(np.array([[-3.0, 2.0]])) == "numbers"


def test_another_shape_or_another_output_is_an_error() -> None:
    with pytest.raises(WorkError, match="has shape"):
        compare("onnx", changed(ROWS[:, :1]), REFERENCE)
    two: Cases = {case: {"p": rows["p"], "q": rows["p"]} for case, rows in EXPECTED.items()}
    with pytest.raises(WorkError, match="has the outputs p, q, and the model p"):
        compare("onnx", two, REFERENCE)


def test_nan_is_never_near_enough() -> None:
    with pytest.raises(WorkError, match=r"1 of the values .* output p for zeros are NaN"):
        refuse_nonfinite({"zeros": {"p": np.array([np.nan, 1.0])}}, "the artifact's")


# ---- the reference


PIXELS = Signature(
    inputs=(TensorSpec(name="x", dtype="float32", shape=(None, 8, 8)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(None, 10)),),
)


class Answering:
    """A runtime whose answers a function of the features gives."""

    signature = PIXELS

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        return {"y": np.asarray(self._answer(inputs["x"].reshape(len(inputs["x"]), -1)))}


def always(*row: float) -> Answering:
    return Answering(lambda rows: np.tile(np.array(row, np.float32), (len(rows), 1)))


def test_a_constant_model_does_not_beat_chance() -> None:
    questions = draw_questions(load_dataset("digits"), PIXELS, 5, 0)
    largest = int(np.bincount(load_dataset("digits").validation.labels).argmax())
    reference = ask_reference(always(*np.eye(10)[largest]), questions)
    assert reference.interval.low < reference.chance < reference.interval.high
    assert not reference.beats_chance


def test_answers_that_are_only_compared_must_differ_at_least() -> None:
    questions = draw_questions(load_dataset("digits"), PIXELS, 5, 0, scored=False)
    constant = ask_reference(always(3.0, 4.0), questions)
    assert "answers all real examples of digits alike" in chance_problem(constant, "digits")[0]
    assert not compare("onnx", constant.answers, constant).passed
    reference = ask_reference(Answering(lambda rows: rows.mean(axis=1, keepdims=True)), questions)
    assert chance_problem(reference, "digits") == []
    report = compare("onnx", reference.answers, reference)
    assert report.passed
    assert ParityReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("seed", [0, 1, 2, 9])
def test_an_untrained_model_that_is_lucky_does_not_beat_chance(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=(64, 10))

    def answer(rows: NDArray[Any]) -> NDArray[Any]:
        scores = np.exp(rows / 64 @ weights)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    questions = draw_questions(load_dataset("digits"), PIXELS, 5, 0)
    reference = ask_reference(Answering(answer), questions)
    assert reference.test_score > reference.chance
    assert not reference.beats_chance


def test_what_beats_chance_is_decided_on_the_validation_split() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    data = load_dataset("digits")
    unlearnable = replace(data.test, labels=(data.test.labels + 1) % 10)
    questions = draw_questions(replace(data, test=unlearnable), PIXELS, 5, 0)
    known = KNeighborsClassifier(1).fit(data.train.features.reshape(-1, 64), data.train.labels)
    reference = ask_reference(Answering(known.predict_proba), questions)
    assert reference.beats_chance
    assert chance_problem(reference, "digits") == []


def test_a_regression_must_beat_predicting_the_mean() -> None:
    from sklearn.linear_model import LinearRegression

    data = load_dataset("diabetes")
    names = data.columns
    signature = Signature(
        inputs=tuple(TensorSpec(name=name, dtype="float32", shape=(None,)) for name in names),
        outputs=(),
    )
    questions = draw_questions(data, signature, 50, 0)
    columns = np.stack([data.train.features[name] for name in names], axis=1)
    fitted = LinearRegression().fit(columns, data.train.labels)
    mean = float(data.train.labels.mean())

    class OfColumns(Answering):
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
            rows = np.nan_to_num(np.stack([inputs[name] for name in names], axis=1))
            return {"y": self._answer(rows)}

    OfColumns.signature = signature
    good = ask_reference(OfColumns(lambda rows: fitted.predict(rows)[:, np.newaxis]), questions)
    assert good.metric == "rmse"
    assert good.beats_chance
    constant = ask_reference(OfColumns(lambda rows: np.full((len(rows), 1), mean)), questions)
    assert not constant.beats_chance
    assert "always predicting the mean" in chance_problem(constant, "diabetes")[0]


def test_an_edge_case_that_the_model_cannot_answer_is_left_out() -> None:
    data = load_dataset("digits")
    questions = draw_questions(data, PIXELS, 50, 0)

    def answer(rows: NDArray[Any]) -> NDArray[Any]:
        sums = rows.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            return np.tile(sums / sums / 10, (1, 10))  # 0 / 0 for an empty picture

    reference = ask_reference(Answering(answer), questions)
    assert reference.unanswered == ("zeros",)
    assert "zeros" not in reference.answers


def test_outputs_that_are_no_probabilities_are_refused() -> None:
    questions = draw_questions(load_dataset("digits"), PIXELS, 5, 0)
    with pytest.raises(InputError, match=r"not probabilities.*softmax"):
        ask_reference(always(*[2.0] * 10), questions)
    with pytest.raises(WorkError, match="NaN"):
        ask_reference(always(np.nan, *[0.1] * 9), questions)


def test_outputs_of_another_shape_than_the_task_s_are_refused() -> None:
    digits = load_dataset("digits")
    questions = draw_questions(digits, PIXELS, 5, 0)
    with pytest.raises(ConfigError, match=r"digits has 10 classes, but .* with shape \(3,\)"):
        ask_reference(always(0.2, 0.3, 0.5), questions)
    with pytest.raises(ConfigError, match=r"one number an example, but .* with shape \(3,\)"):
        ask_reference(always(0.2, 0.3, 0.5), replace(questions, metric="rmse", width=1))


def test_a_file_for_so_many_examples_is_not_the_model_s_that_takes_any_number() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 2))
    asked = Asked(Signature(inputs=(spec,), outputs=()), EXPECTED, 0.1)
    assert judge("litert", asked, replace(REFERENCE, batch=1)).passed
    with pytest.raises(WorkError, match="only 1 at a time"):
        judge("litert", asked, REFERENCE)
