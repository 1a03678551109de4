"""The toolkit and the Keras 2 it works on, imported without a trace in the process."""

from __future__ import annotations

import os
import warnings
from typing import Any

from agiwb.errors import WorkError

_VARIABLE = "TF_USE_LEGACY_KERAS"


def load_tfmot() -> tuple[Any, Any]:
    """Return the modules ``tensorflow_model_optimization`` and ``tf_keras``.

    Raises:
        WorkError: One of them is not installed.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    # Once it has been asked for, `tf.keras` stays Keras 3; the toolkit would turn it into Keras 2,
    # here and in every process that inherits the variable.
    _ = tf.keras.Model
    former = os.environ.get(_VARIABLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_model_optimization as tfmot
            import tf_keras
    except ImportError as error:
        raise WorkError(
            f"The engine tfmot needs a package that is not installed: {error.name}.",
            "Install `agiwb[tfmot]`, or leave the engine at keras.",
        ) from None
    finally:
        if former is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = former
    return tfmot, tf_keras
