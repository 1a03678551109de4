"""Serves an ONNX model with FastAPI as tutorials do."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)


class Rows(BaseModel):
    """A batch."""

    instances: list[list[float]]


@app.post("/predict")
def predict(rows: Rows) -> dict[str, list[list[float]]]:
    """Return the probabilities of the rows."""
    batch = np.array(rows.instances, dtype=np.float32)
    return {"predictions": session.run(None, {"features": batch})[0].tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
