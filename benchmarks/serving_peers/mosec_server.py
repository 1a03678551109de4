"""Serves an ONNX model with mosec: one worker process behind its front of Rust."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
import orjson
from mosec import Server, Worker


class Classifier(Worker):
    """Answers rows; mosec's documentation advises a faster JSON library such as orjson."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)

    def deserialize(self, data: bytes) -> Any:
        return orjson.loads(data)

    def serialize(self, data: Any) -> bytes:
        return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)

    def forward(self, data: Any) -> Any:
        batch = np.array(data["instances"], np.float32)
        return {"predictions": self.session.run(None, {"features": batch})[0]}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classifier, num=1)
    server.run()
