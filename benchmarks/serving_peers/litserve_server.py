"""Serves an ONNX model with LitServe, as its documentation shows: one worker, no batching."""

import os
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Classifier(litserve.LitAPI):
    """Answers rows."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)

    # LitServe reads the annotation of a parameter of this name; without one it hands on the JSON.
    def decode_request(self, request) -> np.ndarray:  # noqa: ANN001
        return np.array(request["instances"], np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"features": x})[0]

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
