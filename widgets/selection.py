"""What the user works on at the moment: one selection, shared by all panels."""

from __future__ import annotations

import traitlets


class Selection(traitlets.HasTraits):
    """The data set, model, artifact and server chosen; None where nothing is chosen yet.

    A panel observes what it reads and sets what it makes: a finished training sets ``model``, and
    the other panels' forms have it at once. All are what the configs' fields of that name take.
    """

    dataset = traitlets.Unicode(
        None, allow_none=True, help="A data set's name, or the path of the user's own data."
    )
    model = traitlets.Unicode(
        None, allow_none=True, help="A registered model's name, a run's id, or an artifact folder."
    )
    artifact = traitlets.Unicode(
        None, allow_none=True, help="The folder of a model in one deployable format."
    )
    endpoint = traitlets.Unicode(
        None, allow_none=True, help="The HTTP address of a running server."
    )
    tab = traitlets.Unicode(
        None, allow_none=True, help="The workbench's tab that is open; a panel opens another by it."
    )

    def __init__(self, **chosen: str | None) -> None:
        super().__init__(**chosen)
        self.artifact = chosen.get("artifact")

    @traitlets.observe("model")
    def _forget_artifact(self, _: object) -> None:
        """Have no artifact of another model selected; who selects both begins with the model."""
        self.artifact = None
