"""What may stand for an architecture: families, the user's own builders, saved models."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from agiwb.datasets.dataset import Kind
from agiwb.errors import ConfigError, NotFoundError
from agiwb.models.families import load_family
from agiwb.models.registry import (
    FAMILIES,
    Family,
    architecture_fingerprint,
    architecture_reference,
    build_model,
    default_family,
)
from agiwb.models.specification import ModelSpec, Size
from tests.conformance.model_family import answer
from tests.conformance.tiny_data import tiny_dataset

FITTING = """
import keras
from keras import layers

def build(spec):
    features = keras.Input(spec.feature_shape)
    x = layers.Dense(spec.options.get("width", 2))(features)
    return keras.Model(features, layers.Dense(spec.outputs, activation="softmax")(x))
"""


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec.of(tiny_dataset("array", "classification"), Size(units=8))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own_model.py"
    path.write_text(FITTING)
    return path


def test_every_family_has_a_builder() -> None:
    assert set(get_args(Family)) == set(FAMILIES)
    assert all(callable(load_family(name)) for name in FAMILIES)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_family(kind: Kind) -> None:
    assert default_family(kind, "classification") in FAMILIES


def test_the_registry_does_not_import_keras() -> None:
    script = "import agiwb.models.registry, sys; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_references_mean_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert architecture_reference("cnn") == "cnn"
    assert architecture_reference("my.models:build") == "my.models:build"
    assert architecture_reference("mine.py:build") == f"{tmp_path}/mine.py:build"
    assert architecture_reference("sub/a.keras") == f"{tmp_path}/sub/a.keras"
    assert architecture_reference("~/a.h5") == f"{Path.home()}/a.h5"
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "model.keras").touch()
    assert architecture_reference("baseline") == f"{tmp_path}/baseline/model.keras"
    for reference in ("cnn", "my.models:build", "mine.py:build", "a.keras"):
        once = architecture_reference(reference)
        assert architecture_reference(once) == once


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("rnnn", "no model family 'rnnn'.*Did you mean `rnn`"),
        ("perceptron!", "Choose from: audio, cnn.*file.py:function"),
        ("my-module:build", "no model family"),
        ("mine.py:", "no model family"),
    ],
)
def test_what_is_no_reference_is_refused(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        architecture_reference(reference)


def test_the_fingerprint_is_that_of_the_file(own: Path, tmp_path: Path) -> None:
    assert architecture_fingerprint("cnn") is None
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    assert architecture_fingerprint(f"{own}:build") == digest
    own.write_text(FITTING + "# another\n")
    assert architecture_fingerprint(f"{own}:build") != digest
    saved = tmp_path / "a.keras"
    saved.write_bytes(b"weights")
    assert architecture_fingerprint(str(saved)) == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(ConfigError, match=r"there is no file .*gone\.py"):
        architecture_fingerprint(f"{tmp_path}/gone.py:build")
    with pytest.raises(NotFoundError, match=r"there is no file .*gone\.h5"):
        architecture_fingerprint(f"{tmp_path}/gone.h5")


def test_the_fingerprint_of_a_module_needs_no_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "found_here.py").write_text("raise RuntimeError")
    assert architecture_fingerprint("found_here:build") == (
        hashlib.sha256(b"raise RuntimeError").hexdigest()
    )
    assert "found_here" not in sys.modules
    with pytest.raises(ConfigError, match="no Python module found_nowhere"):
        architecture_fingerprint("found_nowhere:build")


@pytest.mark.slow
class TestABuilderOfTheUsers:
    def test_it_gets_the_specification_and_makes_the_model(
        self, own: Path, spec: ModelSpec
    ) -> None:
        model = build_model(f"{own}:build", replace(spec, options={"width": 5}))
        assert answer(model, spec.sample.features).shape == (24, 3)
        assert model.layers[1].units == 5

    def test_an_edit_counts_at_once(self, own: Path, spec: ModelSpec) -> None:
        for width in (3, 4):
            own.write_text(FITTING.replace('"width", 2', f'"width", {width}'))
            assert build_model(f"{own}:build", spec).layers[1].units == width
        assert not (own.parent / "__pycache__").exists()

    def test_it_may_be_in_a_module_beside_others(
        self, tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "my_package"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "deep.py").write_text(FITTING)
        (package / "entry.py").write_text("from my_package.deep import build")
        (tmp_path / "beside.py").write_text("from my_package.entry import build")
        monkeypatch.chdir(tmp_path)
        before = list(sys.path)
        for reference in ("my_package.entry:build", "beside.py:build"):
            assert build_model(reference, spec).built
        assert sys.path == before

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("def build(spec):\n    x = 1\n    return 1 / 0", r"ZeroDivisionError at {own}:3: div"),
            ("def build():\n    return 1", r"TypeError at {own}:1: .*takes 0 positional"),
            ("import nothing_such", r"cannot be imported: ModuleNotFoundError at {own}:1"),
            ("def build(spec)\n", r"cannot be imported: SyntaxError at {own}:1"),
            ("def built(spec): ...", r"no function 'build' in {own}.*Did you mean `built`"),
            ("build = 3", r"no function 'build' in {own}.*Define it"),
            ("def build(spec): return 'model'", "returned str, not a Keras model"),
        ],
    )
    def test_what_fails_is_named_with_its_line(
        self, own: Path, spec: ModelSpec, source: str, message: str
    ) -> None:
        own.write_text(source)
        with pytest.raises(ConfigError, match=message.format(own=own)):
            build_model(f"{own}:build", spec)

    @pytest.mark.parametrize(
        ("line", "instead", "message"),
        [
            ("spec.feature_shape", "(9,)", r"takes .*float32 \(\?, 9\).*wants .*32 \(\?, 6\)"),
            ("spec.outputs", "4", r"float32 \(\?, 4\).*for classification .*32 \(\?, 3\)"),
            ("softmax", "linear", "gives no probabilities.*softmax"),
            ("(features)", "(layers.Lambda(lambda x: x)(features))", "has a lambda, which Keras"),
            ('"softmax"', "lambda x: keras.ops.softmax(x)", "has a lambda, which Keras"),
            ('"softmax"', "mine", "has the function 'mine', which Keras"),
            ("layers.Dense(spec.options", "Mine(spec.options", "has a Mine, which Keras"),
        ],
    )
    def test_a_model_that_does_not_fit_is_described(
        self, own: Path, spec: ModelSpec, line: str, instead: str, message: str
    ) -> None:
        classes = "class Mine(layers.Dense): ...\ndef mine(x): return keras.ops.softmax(x)"
        own.write_text(FITTING.replace(line, instead) + classes)
        with pytest.raises(ConfigError, match=message):
            build_model(f"{own}:build", spec)

    def test_a_family_it_builds_on_speaks_for_itself(self, own: Path, spec: ModelSpec) -> None:
        own.write_text("from agiwb.models.cnn import build_cnn as build")
        with pytest.raises(ConfigError, match="cnn needs images"):
            build_model(f"{own}:build", spec)

    def test_columns_go_by_name(self, own: Path) -> None:
        spec = ModelSpec.of(tiny_dataset("pairs", "ranking"), Size(units=8))
        source = "from agiwb.models.two_tower import build_two_tower as build\n"
        own.write_text(source)
        assert build_model(f"{own}:build", spec).built
        own.write_text(
            source + "import keras\ninner = build\ndef build(spec):\n"
            "    names = [keras.Input((), dtype='string', name=n) for n in ('who', 'what')]\n"
            "    return keras.Model(names, inner(spec)(names))\n"
        )
        with pytest.raises(ConfigError, match=r"takes who: string.*wants .*user: string \(\?\)"):
            build_model(f"{own}:build", spec)


@pytest.mark.slow
class TestASavedModel:
    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    @pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
    def test_it_begins_with_its_weights(self, spec: ModelSpec, tmp_path: Path, suffix: str) -> None:
        saved = build_model("mlp", spec)
        saved.save(tmp_path / f"a.{suffix}")
        loaded = build_model(f"{tmp_path}/a.{suffix}", spec)
        features = spec.sample.features
        np.testing.assert_array_equal(answer(loaded, features), answer(saved, features))
        assert not loaded.compiled

    def test_another_head_is_refused_with_both_shapes(
        self, spec: ModelSpec, tmp_path: Path
    ) -> None:
        build_model("mlp", spec).save(tmp_path / "a.keras")
        with pytest.raises(ConfigError, match=r"gives .*\(\?, 3\).*gives one output.*\(\?, 5\)"):
            build_model(f"{tmp_path}/a.keras", replace(spec, outputs=5))

    def test_a_missing_or_damaged_file_is_named(self, spec: ModelSpec, tmp_path: Path) -> None:
        path: Any = tmp_path / "a.keras"
        with pytest.raises(NotFoundError, match=f"no file {path}"):
            build_model(str(path), spec)
        path.write_bytes(b"This was a model once.")
        with pytest.raises(NotFoundError, match=f"{path} cannot be loaded"):
            build_model(str(path), spec)
