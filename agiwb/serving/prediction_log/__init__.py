"""What was asked of models and what they answered, kept on disk for monitoring.

A model's log is a folder, ``predictions/<model>/`` (see places.py). Each server process appends to
a segment of its own, before the answer is sent, so a server that is killed loses nothing it has
acknowledged. ``compaction.compact`` turns segments without a writer into Parquet. Readers see both.
"""

from __future__ import annotations

from agiwb.serving.prediction_log.log import PredictionLog
from agiwb.serving.prediction_log.places import folder_of
from agiwb.serving.prediction_log.policy import LogPolicy, Rule
from agiwb.serving.prediction_log.prediction import Prediction
from agiwb.serving.prediction_log.reading import read_predictions
from agiwb.serving.prediction_log.replay import find_prediction, iterate_predictions
from agiwb.serving.prediction_log.window import PredictionWindow

__all__ = [
    "LogPolicy",
    "Prediction",
    "PredictionLog",
    "PredictionWindow",
    "Rule",
    "find_prediction",
    "folder_of",
    "iterate_predictions",
    "read_predictions",
]
