"""A text model that agiwb trained, converted with its reader of strings and without, and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb import ConvertConfig, EvaluateConfig, TrainConfig, convert, evaluate, train
from agiwb.conversion.convert import ConvertRecord
from agiwb.errors import InputError

pytestmark = pytest.mark.slow

WORDS = {"good": "good great fine lovely superb", "bad": "bad awful dull poor weak"}


@pytest.fixture(scope="module")
def converted(
    trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ConvertRecord, ConvertRecord]:
    """Formats that take the texts, and formats that take the numbers of their words."""
    dice = np.random.default_rng(0)
    lines = ["text,label"]
    for _ in range(300):
        label = dice.choice(["good", "bad"])
        words = dice.choice([*WORDS[label].split(), "the", "film"], dice.integers(3, 10))
        lines.append(f"{' '.join(words)},{label}")
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    path.write_text("\n".join(lines))
    trained = train(TrainConfig(dataset=str(path), architecture="text", epochs=3, units=8))
    whole = convert(ConvertConfig(model=trained.run.id, formats=("saved_model", "litert")))
    rest = convert(
        ConvertConfig(model=trained.run.id, formats=("onnx", "litert"), preprocessing=False)
    )
    return whole, rest


def test_each_form_agrees_with_the_model_or_says_what_to_do(
    converted: tuple[ConvertRecord, ConvertRecord],
) -> None:
    whole, rest = converted
    assert [made.format for made in whole.artifacts] == ["saved_model"]
    assert [made.format for made in rest.artifacts] == ["onnx", "litert"]
    assert not rest.problems
    (problem,) = whole.problems
    assert "litert: LiteRT has no built-in operator for" in problem
    assert "--no-preprocessing" in problem


def test_all_are_evaluated_on_the_texts(
    converted: tuple[ConvertRecord, ConvertRecord],
) -> None:
    whole, rest = converted
    accuracies = {
        evaluate(EvaluateConfig(model=record.run.id, format=wanted)).metrics["test_accuracy"]
        for record, wanted in ((whole, "saved_model"), (rest, "onnx"), (rest, "litert"))
    }
    assert len(accuracies) == 1
    assert accuracies.pop() > 0.9


def test_without_the_model_no_text_can_be_read(
    converted: tuple[ConvertRecord, ConvertRecord], workspace: Path
) -> None:
    folder = converted[1].file("onnx")
    with pytest.raises(InputError, match=r"onnx artifact .* takes numbers in place of strings"):
        evaluate(EvaluateConfig(model=str(folder), format="onnx", dataset="digits"))
