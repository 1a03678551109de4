"""The panel that trains a model."""

from __future__ import annotations

from typing import Any

from widgets.data import dataset_names
from widgets.selection import Selection
from widgets.step_panel import StepPanel

_BASIC = (
    "dataset", "architecture", "epochs", "batch_size", "learning_rate", "units", "seed", "name",
)  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "Quick look: 3 epochs": {"epochs": 3, "schedule": "constant", "early_stopping": None},
    "Usual: 12 epochs": {"epochs": 12, "schedule": "constant", "early_stopping": None},
    "Thorough: up to 100 epochs, stops when it gets no better": {
        "epochs": 100,
        "schedule": "plateau",
        "early_stopping": 10,
    },
}


class TrainPanel(StepPanel):
    """The form of ``agiwb train``, its curves as they grow, and what came of it."""

    def __init__(self, selection: Selection | None = None) -> None:
        super().__init__(
            "train",
            selection,
            verb="Train",
            basic=_BASIC,
            presets=PRESETS,
            suggestions={"dataset": dataset_names()},
        )
