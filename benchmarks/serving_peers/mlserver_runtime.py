"""Serves an ONNX model with MLServer: a custom runtime, as its documentation shows."""

from __future__ import annotations

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Classifier(MLModel):
    """Answers rows of the Open Inference Protocol."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        batch = NumpyCodec.decode_input(payload.inputs[0])
        answer = self.session.run(None, {"features": batch})[0]
        output = NumpyCodec.encode_output("probabilities", answer)
        return InferenceResponse(model_name=self.name, outputs=[output])
