"""Serves an ONNX model with BentoML: one worker; access log and metrics are off."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Classifier:
    """Answers rows."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)

    @bentoml.api
    def predict(self, instances: list[list[float]]) -> dict[str, Any]:
        """Return the probabilities of the rows."""
        batch = np.array(instances, np.float32)
        return {"predictions": self.session.run(None, {"features": batch})[0].tolist()}
