"""TFMA on other runners of Beam: with worker processes, and without a trace of this machine."""

from __future__ import annotations

import bz2
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from agiwb.errors import ConfigError, WorkError
from agiwb.evaluation.beam_pipeline import (
    BeamPlace,
    build_pipeline,
    evaluate_parquet,
    pipeline_options,
    write_columns,
)
from agiwb.evaluation.engines import run_engine
from agiwb.evaluation.record import EvaluateConfig
from agiwb.evaluation.tfma_engine import import_tfma
from tests.evaluation.fast.golden_cases import make_columns
from tests.evaluation.fast.tfma_reference import differences, read_results

pytestmark = pytest.mark.slow

CONFIG = """
  model_specs { name: "now" label_key: "class" prediction_key: "probabilities" }
  slicing_specs {} slicing_specs { feature_keys: "site" }
  metrics_specs {
    metrics { class_name: "SparseCategoricalAccuracy"
      threshold { value_threshold { lower_bound { value: 0.99 } } } }
    metrics { class_name: "SparseCategoricalCrossentropy" }
    metrics { class_name: "MultiClassConfusionMatrixPlot" }
    metrics { class_name: "ExampleCount" } }
"""


@pytest.fixture(scope="module")
def wanted() -> Any:
    """The config, its defaults filled in."""
    import_tfma()
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2

    from agiwb.evaluation.fast.engine import with_defaults

    return with_defaults(text_format.Parse(CONFIG, config_pb2.EvalConfig()))


def test_two_worker_processes_find_what_the_fast_engine_does(wanted: Any, tmp_path: Path):
    columns = make_columns()
    many = {name: np.concatenate([values] * 12) for name, values in columns.items()}
    place = BeamPlace(
        ("direct_running_mode=multi_processing", "direct_num_workers=2"), str(tmp_path / "shared")
    )
    run_engine("fast", many, wanted, tmp_path / "fast")
    with counted_workers() as workers:
        run_engine("tfma", many, wanted, tmp_path / "beam", place)
    assert len(workers) == 2
    found = read_results(tmp_path / "beam")
    assert found["validation"]["failures"]
    assert list(differences(read_results(tmp_path / "fast"), found)) == []
    assert list((tmp_path / "shared").iterdir()) == []


@contextlib.contextmanager
def counted_workers() -> Iterator[set[int]]:
    """Yield the ids of Beam's worker processes that this one has had meanwhile."""
    seen: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if child.cmdline()[1:3] == ["-m", "apache_beam.runners.worker.sdk_worker_main"]:
                        seen.add(child.pid)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def test_what_is_sent_to_workers_names_neither_this_machine_nor_agiwb(
    wanted: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    store = tmp_path_factory.mktemp("store")
    write_columns(make_columns(), str(store / "rows.parquet"))
    sent: list[bytes] = []
    compress = bz2.compress

    def compressed(content: bytes, **given: Any) -> bytes:
        sent.append(content)
        return compress(content, **given)

    monkeypatch.setattr(bz2, "compress", compressed)
    options = pipeline_options(("runner=PortableRunner", "job_endpoint=HOST:8099"))
    made = build_pipeline(f"{store}/*.parquet", wanted, f"{store}/results", options)
    sent.append(made.to_runner_api().SerializeToString())
    assert len(sent) > 20
    told = b"".join(sent).replace(str(store).encode(), b"STORE")
    # Functions of libraries say in which file they were defined, for tracebacks.
    told = told.replace(sys.prefix.encode(), b"PREFIX")
    assert b"STORE/*.parquet" in told
    for trace in ("agiwb", f"{Path.home()}/", f"{Path.cwd()}/", f"{store.parent}/"):
        assert trace.encode() not in told, trace


def test_what_beam_does_not_take_is_refused_before_anything_runs(wanted: Any, tmp_path: Path):
    with pytest.raises(ConfigError, match="Did you mean `direct_num_workers`"):
        pipeline_options(("direct_num_worker=2",))
    with pytest.raises(ConfigError, match="cannot make the runner 'FlinkRuner'"):
        pipeline_options(("runner=FlinkRuner",))
    with pytest.raises(ConfigError, match="Beam does not take direct_num_workers=two"):
        pipeline_options(("direct_num_workers=two",))
    with pytest.raises(ConfigError, match="Set `engine: tfma`"):
        EvaluateConfig(beam_folder=str(tmp_path))
    (tmp_path / "file").touch()
    place = BeamPlace((), str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="`beam_folder`: Beam cannot write"):
        run_engine("tfma", make_columns(), wanted, tmp_path, place)


def test_a_pipeline_that_fails_says_why(wanted: Any, tmp_path: Path):
    with pytest.raises(WorkError, match=r"TFMA failed on Beam.*nothing\.parquet"):
        evaluate_parquet(str(tmp_path / "nothing.parquet"), wanted, str(tmp_path / "results"))
