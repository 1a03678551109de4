"""What every runtime must do. A test module subclasses it and names its format:

class TestKerasFile(RuntimeConformance):
    format = "keras"
"""

from __future__ import annotations

import functools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.artifacts.resolve import resolve_model
from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.conversion.registry import load_converter
from agiwb.conversion.source import ConversionSource, source_for
from agiwb.datasets.registry import load_dataset
from agiwb.errors import InputError
from agiwb.models.loading import load_model_for
from agiwb.runs.record import Record
from agiwb.runs.store import open_store
from agiwb.runtimes.runtime import Runtime, open_runtime

TOLERANCE = 1e-5
PAIR = np.zeros((2, 8, 8), np.float32)

UNFIT = {
    "nothing": {},
    "another name": {"pixels": PAIR},
    "one name too many": {"features": PAIR, "more": PAIR},
    "no batch dimension": {"features": PAIR[0]},
    "another size": {"features": PAIR[:, :7]},
    "text": {"features": np.full((2, 8, 8), "1.0")},
    "complex numbers": {"features": PAIR.astype(np.complex64)},
}


@functools.cache
def digits() -> NDArray[np.float32]:
    """Return the images that the model is asked about, float32 ``(360, 8, 8)``."""
    return load_dataset("digits").test.features


@pytest.mark.slow
class RuntimeConformance:
    """Runs one small trained model, written in the subclass's ``format``."""

    format: ClassVar[Format]

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, digits_run: Record) -> ConversionSource:
        found, data = resolve_model(digits_run.run.id, open_store()), load_dataset("digits")
        return source_for(load_model_for(found.path, data), found, data)

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, source: ConversionSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp(cls.format)
        load_converter(cls.format)(source, folder)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls, folder: Path) -> Runtime:
        return open_runtime(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def expected(cls, source: ConversionSource) -> np.ndarray:
        return source.model.predict(digits(), verbose=0)

    def test_the_signature_says_what_goes_in_and_out(self, runtime: Runtime) -> None:
        assert runtime.signature == Signature(
            inputs=(TensorSpec(name="features", dtype="float32", shape=(None, 8, 8)),),
            outputs=(TensorSpec(name="probabilities", dtype="float32", shape=(None, 10)),),
        )

    def test_it_answers_as_the_model_for_any_batch_size(
        self, runtime: Runtime, expected: np.ndarray
    ) -> None:
        for size in (64, 1, 3, 64):  # in turn, as engines keep buffers between batches
            answer = runtime.run({"features": digits()[:size]})
            assert list(answer) == ["probabilities"]
            found = answer["probabilities"]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected[:size], rtol=0, atol=TOLERANCE)

    @pytest.mark.parametrize("case", UNFIT)
    def test_inputs_that_do_not_fit_are_refused_with_the_signature(
        self, runtime: Runtime, case: str
    ) -> None:
        with pytest.raises(InputError) as caught:
            runtime.run(UNFIT[case])
        assert "features: float32 (?, 8, 8)" in str(caught.value)

    @pytest.mark.parametrize("dtype", ["float64", "int64", "uint8"])
    def test_other_numbers_are_cast(
        self, runtime: Runtime, expected: np.ndarray, dtype: str
    ) -> None:
        answer = runtime.run({"features": digits()[:5].astype(dtype)})["probabilities"]
        np.testing.assert_allclose(answer, expected[:5], rtol=0, atol=TOLERANCE)

    def test_the_memory_layout_does_not_matter(
        self, runtime: Runtime, expected: np.ndarray
    ) -> None:
        every_second = digits()[:10:2]
        for features in (every_second, np.asfortranarray(every_second)):
            answer = runtime.run({"features": features})["probabilities"]
            np.testing.assert_allclose(answer, expected[:10:2], rtol=0, atol=TOLERANCE)

    def test_no_examples_give_no_answers(self, runtime: Runtime) -> None:
        assert runtime.run({"features": digits()[:0]})["probabilities"].shape == (0, 10)

    def test_answers_belong_to_the_caller(self, runtime: Runtime) -> None:
        given = digits()[:4].copy()
        first = runtime.run({"features": given})["probabilities"]
        kept = first.copy()
        runtime.run({"features": digits()[4:8]})
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(given, digits()[:4])
        first[:] = -1
        np.testing.assert_array_equal(runtime.run({"features": given})["probabilities"], kept)

    def test_threads_get_their_own_answers(self, runtime: Runtime, expected: np.ndarray) -> None:
        def answer(index: int) -> np.ndarray:
            size = 1 + index % 4
            return runtime.run({"features": digits()[index : index + size]})["probabilities"]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(answer, range(200)))
        for index, found in enumerate(answers):
            wanted = expected[index : index + 1 + index % 4]
            np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)

    def test_a_damaged_file_is_refused_by_name(self, folder: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(folder, tmp_path / "damaged")
        (copy / MODEL_FILES[self.format]).write_bytes(b"This was a model once.")
        with pytest.raises(InputError, match=str(copy)):
            open_runtime(copy)


class RefusalConformance:
    """Runs a graph of ``x`` (?, 2, 2) to ``y`` (1, 4) that itself refuses a second example."""

    @pytest.fixture
    def one_at_a_time(self) -> Runtime:
        raise NotImplementedError

    def test_a_batch_the_graph_refuses_is_an_input_error_that_never_grows(
        self, one_at_a_time: Runtime
    ) -> None:
        one, two = np.ones((1, 2, 2), np.float32), np.ones((2, 2, 2), np.float32)
        refusals = set()
        for _ in range(50):
            with pytest.raises(InputError, match="The model refuses this batch") as caught:
                one_at_a_time.run({"x": two})
            refusals.add(str(caught.value))
        assert len(refusals) == 1
        assert one_at_a_time.run({"x": one})["y"].tolist() == [[1, 1, 1, 1]]
