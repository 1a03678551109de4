"""What a user says about a source of data; all that is not said is inferred from the content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agiwb.config import Config
from agiwb.datasets.dataset import Kind, Task

Format = Literal["npz", "csv", "tsv", "jsonl", "parquet", "tfrecord", "images", "audio", "texts"]
"""How a source is stored: a file of arrays, a table, or a folder with a folder for each class."""

Streaming = Literal["auto", "always", "never"]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
"""Names of columns or classes; a single one may be given as it is."""

AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that means the same file from every folder."""


class SourceDescription(Config):
    """A source of data. An option that means nothing to the source's format is refused."""

    name: str = Field(description="Name of the data set.")
    path: AbsolutePath = Field(description="File or folder that holds the data.")
    format: Format | None = Field(
        None, description="How it is stored; by default told by the suffix or the files inside."
    )
    label: Names = Field(
        (), description="Column to predict; several columns of 0 and 1 for multilabel."
    )
    features: Names = Field(
        (), description="Columns to predict from; by default all others that can tell something."
    )
    task: Task | None = Field(None, description="What is predicted; by default from the labels.")
    kind: Kind | None = Field(None, description="What an example is; by default from the content.")
    classes: Names = Field(
        (), description="The classes in order, the second of two being the positive one."
    )
    text: str | None = Field(None, description="Column of the texts, for a table of texts.")
    user: str | None = Field(None, description="Column of the users, for a table of interactions.")
    item: str | None = Field(None, description="Column of the items, for a table of interactions.")
    negatives: int = Field(
        1,
        ge=1,
        le=100,
        description="Items drawn as not chosen for each chosen one, where only choices are known.",
    )
    split: str | None = Field(
        None,
        description="Column that says train, validation or test; by default one named split.",
    )
    slices: Names = Field(
        (), description="Columns to slice metrics by; by default those of 2 to 20 values."
    )
    image_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None, description="Height and width in pixels to which all images are resized."
    )
    seconds: float | None = Field(
        None,
        gt=0,
        le=600,
        description="Length to which recordings are padded or cut; by default the longest, "
        "at most 10 seconds.",
    )
    stream: Streaming = Field(
        "auto",
        description="Whether the data stay on disk and come in blocks; auto: if they take more "
        "than an eighth of this machine's memory.",
    )
    feature_spec: AbsolutePath | None = Field(
        None,
        description="YAML or JSON file that says what the features of TFRecord are; by default "
        "the first records tell.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of what is drawn: splits, negatives.")
