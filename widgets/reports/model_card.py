"""The model card: one model's life cycle, for people who never read code."""

from __future__ import annotations

from agiwb.reporting.lifecycle import newest_life_cycle, sections
from widgets.reports.frame import Report, ReportState, about_run, page_html

_MODEL = "model.keras"


class ModelCardState(ReportState):
    """A trained model and the newest of all that was made of it."""

    step = "train"
    nothing = "No model has been trained in this workspace yet."

    def show(self, chosen: str) -> None:
        """Show the card of a trained model."""
        cycle = newest_life_cycle(chosen, self.history)
        digest = next((file.sha256 for file in cycle.train.run.files if file.path == _MODEL), None)
        self.about = about_run(cycle.train, digest, f"Trained on {cycle.train.config.dataset}.")
        self.page = page_html(sections(cycle))


class ModelCard(Report):
    """A menu of the trained models, and below it the card of the one chosen."""

    def __init__(self, state: ModelCardState | None = None) -> None:
        super().__init__(state or ModelCardState())
        self.menu.description = "Model"
