"""TensorFlow Serving's batching parameters, as its text files give them."""

from __future__ import annotations

import pytest

from agiwb.errors import ConfigError
from agiwb.serving.batching import (
    BatchingParameters,
    read_batching_parameters,
    write_batching_parameters,
)

FULL = """
# Comments begin with a hash.
max_batch_size { value: 64 }  # and may follow
batch_timeout_micros: { value: 1500 }
max_enqueued_batches {
  value: 7
}
num_batch_threads { value: 3 }
thread_pool_name { value: "predict" }
allowed_batch_sizes: 8
allowed_batch_sizes: 64
pad_variable_length_inputs: true
enable_large_batch_splitting { value: false }
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "batching.txt").write_text(text)
        return read_batching_parameters(tmp_path / "batching.txt")

    return read


def test_every_field_is_read(read):
    assert read(FULL) == BatchingParameters(
        max_batch_size=64,
        batch_timeout_micros=1500,
        max_enqueued_batches=7,
        num_batch_threads=3,
        allowed_batch_sizes=(8, 64),
        pad_variable_length_inputs=True,
        enable_large_batch_splitting=False,
    )


def test_what_is_not_given_has_its_default_and_0_is_given(read):
    assert read("") == BatchingParameters()
    assert read("batch_timeout_micros { value: 0 }").batch_timeout_micros == 0


def test_large_requests_are_split_to_the_size_that_runs(read):
    found = read("max_batch_size { value: 128 } max_execution_batch_size { value: 32 }")
    assert found.max_batch_size == 32
    assert found.enable_large_batch_splitting


def test_lists_in_brackets_are_read(read):
    found = read("max_batch_size { value: 4 } allowed_batch_sizes: [1, 2, 4]")
    assert found.allowed_batch_sizes == (1, 2, 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_batch_size { value: 8 }\nmax_batchsize { value: 4 }", r"batching\.txt.*2:1"),
        ("max_batch_size: 8", r"batching\.txt.*1:"),
        ("\n\nnum_batch_threads { value: many }", r"batching\.txt.*3:"),
        ("max_batch_size { value: 8", r"batching\.txt"),
        ("max_batch_size { value: 0 }", r"batching\.txt.*max_batch_size"),
        ("batch_timeout_micros { value: -1 }", r"batching\.txt.*batch_timeout_micros"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [4, 2, 8]",
            r"batching\.txt.*must rise and end with",
        ),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", r"batching\.txt.*end with"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(read, text, told):
    with pytest.raises(ConfigError, match=told):
        read(text)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.txt cannot be read") as caught:
        read_batching_parameters(tmp_path / "none.txt")
    assert "max_batch_size { value: 32 }" in caught.value.fix
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_batching_parameters(tmp_path / "bytes.txt")


@pytest.mark.parametrize(
    "parameters",
    [
        BatchingParameters(),
        BatchingParameters(batch_timeout_micros=0, enable_large_batch_splitting=False),
        BatchingParameters(
            max_batch_size=16,
            batch_timeout_micros=250,
            max_enqueued_batches=9,
            num_batch_threads=1,
            allowed_batch_sizes=(1, 16),
            pad_variable_length_inputs=True,
        ),
    ],
)
def test_what_is_written_is_read_again(tmp_path, parameters):
    write_batching_parameters(parameters, tmp_path / "batching.txt")
    assert read_batching_parameters(tmp_path / "batching.txt") == parameters


@pytest.mark.parametrize(("rows", "padded"), [(1, 4), (4, 4), (5, 8), (8, 8)])
def test_the_allowed_size_of_a_batch(rows, padded):
    parameters = BatchingParameters(max_batch_size=8, allowed_batch_sizes=(4, 8))
    assert parameters.padded_size(rows) == padded
    assert BatchingParameters(max_batch_size=8).padded_size(rows) == rows
