"""TFMA itself on small data, run through Beam, and its results as plain values to compare."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest


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
            key = (kind, str(fields.pop("sliceKey", fields.pop("crossSliceKey", None))))
            for part in fields.get("metricKeysAndValues", []) + fields.get("plotKeysAndValues", []):
                name = tuple(sorted(map(str, part["key"].items())))
                found[*key, name] = part["value"]
    validation = json_format.MessageToDict(tfma.load_validation_result(str(folder)))
    found["validation"] = {
        "ok": validation.get("validationOk", False),
        "failures": sorted(
            (str(e.get("sliceKey", e.get("crossSliceKey"))), str(f["metricKey"]))
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
