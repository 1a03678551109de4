"""TFMA itself on the golden cases, run through Beam, and its results as plain values to compare.

As a program it stores what TFMA writes, in minutes: after a new TFMA or a change of the cases run
``python -m tests.evaluation.fast.tfma_reference``.
"""

from __future__ import annotations

import gzip
import json
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

STORED = Path(__file__).with_name("golden.json.gz")


def run_reference(columns, eval_config, folder):
    """Write TFMA's own results for ``columns`` into ``folder``."""
    import apache_beam as beam
    import pyarrow as pa
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from agiwb.evaluation.fast.engine import with_defaults
    from agiwb.evaluation.tfma_engine import import_tfma

    tfma = import_tfma()
    eval_config = with_defaults(eval_config)
    batch = pa.RecordBatch.from_pydict({name: _lists(v) for name, v in columns.items()})
    from tensorflow_model_analysis.api import model_eval_lib

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        # Without a model of its own to run, TFMA takes a baseline out of the config.
        patch.setattr(
            model_eval_lib, "_update_eval_config_with_defaults", lambda given, *_, **__: given
        )
        with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
            _ = (
                pipeline
                | beam.Create([batch])
                | tfma.ExtractEvaluateAndWriteResults(
                    eval_config=eval_config,
                    writers=tfma.default_writers(str(folder), eval_config=eval_config),
                    output_path=str(folder),
                )
            )


def _lists(values):
    import pyarrow as pa

    width = values.shape[1] if values.ndim > 1 else 1
    flat = values.ravel()
    flat = flat.tolist() if flat.dtype.kind in "OU" else flat
    ends = np.arange(0, len(values) * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat))


def read_results(folder):
    """Return every field of every metric, plot and validation in TFMA's files."""
    from google.protobuf import json_format

    from agiwb.evaluation.tfma_engine import import_tfma

    tfma = import_tfma()
    found = {}
    for kind, entries in (
        ("metrics", tfma.load_metrics(str(folder))),
        ("plots", tfma.load_plots(str(folder))),
    ):
        for entry in entries:
            fields = json_format.MessageToDict(entry)
            where = str(fields.pop("sliceKey", fields.pop("crossSliceKey", None)))
            for part in fields.get("metricKeysAndValues", []) + fields.get("plotKeysAndValues", []):
                name = ", ".join(sorted(map(str, part["key"].items())))
                found[f"{kind} of {where}: {name}"] = part["value"]
    validation = json_format.MessageToDict(tfma.load_validation_result(str(folder)))
    found["validation"] = {
        "ok": validation.get("validationOk", False),
        "failures": sorted(
            [str(e.get("sliceKey", e.get("crossSliceKey"))), str(f["metricKey"])]
            for e in validation.get("metricValidationsPerSlice", [])
            for f in e["failures"]
        ),
        "missing": sorted(map(str, validation.get("missingSlices", []))),
    }
    return found


def differences(one, other, path=()):
    """Yield where two results differ: a field that one lacks, or a number off by over 1e-6."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}, key=str):
            # Protocol buffers leave out what is 0.
            yield from differences(one.get(name, 0), other.get(name, 0), (*path, name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(a, b, (*path, place))
    elif not _alike(one, other):
        yield path, one, other


def _alike(one, other):
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-6)
    except (TypeError, ValueError):
        return False


def stored():
    """Return the columns, and by case TFMA's version, the config and the results."""
    golden = json.loads(gzip.decompress(STORED.read_bytes()))
    columns = {name: np.array(v["values"], v["dtype"]) for name, v in golden["columns"].items()}
    return columns, golden["cases"]


def store():
    """Run TFMA on every golden case and store what it writes."""
    from google.protobuf import text_format

    from agiwb.evaluation.tfma_engine import import_tfma
    from tests.evaluation.fast.golden_cases import CONFIGS, make_columns

    version = import_tfma().__version__
    from tensorflow_model_analysis.proto import config_pb2

    columns = make_columns()
    cases = {}
    for name, text in CONFIGS.items():
        with tempfile.TemporaryDirectory() as folder:
            run_reference(columns, text_format.Parse(text, config_pb2.EvalConfig()), Path(folder))
            cases[name] = {"tfma": version, "config": text, "results": read_results(folder)}
    told = {n: {"dtype": str(v.dtype), "values": v.tolist()} for n, v in columns.items()}
    text = json.dumps({"columns": told, "cases": cases}, sort_keys=True)
    STORED.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    store()
