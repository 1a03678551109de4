"""SavedModels, and those that cannot be served."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance.runtime import RuntimeConformance

from agiwb.errors import NotFoundError
from agiwb.runtimes.runtime import open_runtime
from agiwb.tensorflow_quietly import import_tensorflow


class TestSavedModel(RuntimeConformance):
    format = "saved_model"


@pytest.mark.slow
def test_a_saved_model_without_the_serving_signature_is_refused(tmp_path: Path) -> None:
    tf = import_tensorflow()
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"double": module.double})
    with pytest.raises(NotFoundError, match=r"no signature `serving_default` \(it has: double\)"):
        open_runtime(tmp_path)
