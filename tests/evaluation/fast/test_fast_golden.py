"""Every field that the fast engine writes is what TFMA writes for the same rows.

TFMA's own results are stored, see ``tfma_reference``; on one case it is run again.
"""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.evaluation.beam_pipeline import run_pipeline
from agiwb.evaluation.tfma_engine import import_tfma
from tests.evaluation.fast.golden_cases import CONFIGS
from tests.evaluation.fast.tfma_reference import differences, read_results, stored

pytestmark = pytest.mark.slow

RUN_AGAIN = "baseline, weights, change threshold"


@pytest.fixture(scope="module")
def columns():
    return stored()[0]


@pytest.fixture(scope="module")
def parsed():
    from google.protobuf import text_format

    import_tfma()
    from tensorflow_model_analysis.proto import config_pb2

    return lambda name: text_format.Parse(CONFIGS[name], config_pb2.EvalConfig())


@pytest.fixture
def golden(request):
    """What the installed TFMA writes for the case as it is in ``golden_cases``."""
    case = stored()[1][request.param]
    assert (case["tfma"], case["config"]) == (import_tfma().__version__, CONFIGS[request.param])
    assert len(case["results"]) > 8
    return request.param, case["results"]


@pytest.mark.parametrize("golden", CONFIGS, indirect=True)
def test_every_field_is_tfmas(golden, parsed, columns, tmp_path):
    from agiwb.evaluation.fast.engine import evaluate_columns
    from agiwb.evaluation.fast.result_files import write_tfma_files

    name, reference = golden
    # In three batches, as what one batch leaves has to be added to.
    thirds = np.array_split(np.arange(len(columns["site"])), 3)
    parts = ({k: v[third] for k, v in columns.items()} for third in thirds)
    write_tfma_files(evaluate_columns(parts, parsed(name)), tmp_path)
    assert list(differences(reference, read_results(tmp_path)))[:5] == []


@pytest.mark.parametrize("golden", [RUN_AGAIN], indirect=True)
def test_tfma_still_writes_what_is_stored(golden, parsed, columns, tmp_path):
    from agiwb.evaluation.fast.engine import with_defaults

    name, reference = golden
    run_pipeline(columns, with_defaults(parsed(name)), tmp_path)
    assert list(differences(reference, read_results(tmp_path)))[:5] == []
