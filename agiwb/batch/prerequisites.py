"""What a notebook stands on: taken from the workspace, or made with the defaults where missing.

So each notebook runs on its own in a fresh workspace, and on the result of the one before
otherwise.
"""

from __future__ import annotations

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.resolve import resolve_artifact, resolve_model
from agiwb.conversion.config import ConvertConfig
from agiwb.conversion.convert import convert
from agiwb.errors import NotFoundError
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import CHAMPION
from agiwb.runs.store import open_store
from agiwb.training.config import TrainConfig
from agiwb.training.train import train

_LATEST = "latest"


def ensure_model(reference: str) -> str:
    """Return a reference to a trained model; ``latest`` trains the default one if there is none.

    Raises:
        NotFoundError: Another model is asked for, and this workspace does not have it.
    """
    try:
        resolve_model(reference, open_store())
    except NotFoundError:
        if reference != _LATEST:
            raise
        return train(TrainConfig()).run.id
    return reference


def ensure_artifact(reference: str, *wanted: Format) -> str:
    """Return a reference to a model that has been converted to each of ``wanted``, now if need be.

    Raises:
        NotFoundError: The model itself is not in this workspace.
    """
    try:
        for format_name in wanted:
            resolve_artifact(reference, format_name, open_store())
    except NotFoundError:
        model = ensure_model(reference)
        return convert(ConvertConfig(model=model, formats=wanted)).run.id
    return reference


def ensure_champion(name: str) -> str:
    """Return a reference to the champion of a registered model; without one, its newest version is.

    A model of that name that is not there yet is trained with the defaults, and converted to ONNX.
    """
    store = open_store()
    if name not in store.registered_names():
        convert(ConvertConfig(model=train(TrainConfig(name=name)).run.id, formats=("onnx",)))
    if ledger_of(name).standing().champion is None:
        promote_model(PromoteConfig(model=name, why="the first in service"))
    return f"{name}@{CHAMPION}"


def dataset_of(reference: str, wanted: Format) -> str:
    """Return the name of the data set that an artifact's model was trained on.

    Raises:
        NotFoundError: There is no such artifact, or it was made from a file of unknown origin.
    """
    source = resolve_artifact(reference, wanted, open_store())
    if source.artifact.dataset is None:
        raise NotFoundError(
            f"It is not known on which data {reference!r} was trained.",
            'Name a data set instead: `load_dataset("digits")`.',
        )
    return source.artifact.dataset
