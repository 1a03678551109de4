"""Reading a model's prediction log: rows, hourly rollups, and the labels that came later.

``read_predictions`` has the rows of a stretch of time, ``read_rollups`` what they add up to by the
hour without going to them, ``join_labels`` those rows whose label is known. All three see what a
server logged a moment ago. ``add_labels`` takes labels in; ``roll`` keeps the rollups up to date,
and runs beside each server after compaction (upkeep.py).
"""

from __future__ import annotations

from agiwb.monitoring.log.folder import is_logged, logged_models, prediction_folder
from agiwb.monitoring.log.joining import LabelledPredictions, join_labels
from agiwb.monitoring.log.labels import Added, Label, add_labels, label_history
from agiwb.monitoring.log.predictions import (
    LoggedPredictions,
    read_latencies,
    read_predictions,
)
from agiwb.monitoring.log.profile import Profile
from agiwb.monitoring.log.rolling import Rolled, roll
from agiwb.monitoring.log.rollup_query import read_rollups
from agiwb.monitoring.log.rollups import Rollups

__all__ = [
    "Added",
    "Label",
    "LabelledPredictions",
    "LoggedPredictions",
    "Profile",
    "Rolled",
    "Rollups",
    "add_labels",
    "is_logged",
    "join_labels",
    "label_history",
    "logged_models",
    "prediction_folder",
    "read_latencies",
    "read_predictions",
    "read_rollups",
    "roll",
]
