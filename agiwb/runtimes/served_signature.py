"""A signature as TensorFlow Serving knows it: with the method that it is for."""

from __future__ import annotations

from dataclasses import dataclass

from agiwb.artifacts.signature import Signature

PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"


@dataclass(frozen=True)
class ServedSignature:
    """A signature and the name of the TensorFlow Serving method it is for."""

    signature: Signature
    method: str = PREDICT_METHOD
