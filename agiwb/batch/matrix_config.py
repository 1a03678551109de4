"""What decides a matrix of notebook runs, and the entries that follow from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from agiwb.batch.matrix_combinations import NOTEBOOK, Combination, combinations
from agiwb.batch.matrix_notebooks import with_notebooks_found
from agiwb.batch.notebook import RunConfig
from agiwb.config import Config, NamedValues, read_yaml
from agiwb.crews.fields import SchedulerAddress, Workers, scheduler_field
from agiwb.errors import ConfigError

_LONGEST_SLUG = 80


class MatrixConfig(Config):
    """Which notebooks to run with which parameters, and how."""

    matrix: NamedValues = Field(
        description="A list of values for `notebook` and for each parameter; `include` and "
        "`exclude` as in a workflow of GitHub Actions. Paths begin where the command runs, or in a "
        "folder around the matrix's file."
    )
    name: str = Field("matrix", min_length=1, description="What the reports call it.")
    workers: Workers = Field(
        None,
        description="Notebooks at once: in local processes, by default 2; on a Dask cluster, by "
        "default as many as it has workers.",
    )
    scheduler: SchedulerAddress = scheduler_field("run the notebooks")
    retries: int = Field(
        0, ge=0, le=100, description="How often a notebook that failed is tried again."
    )
    fail_fast: bool = Field(
        False, description="Whether one failure ends all that runs and skips what is left."
    )
    timeout_s: float | None = Field(
        None, gt=0, description="Seconds after which a whole notebook is ended."
    )
    cell_timeout_s: int = Field(
        1800, ge=1, description="Seconds after which a cell counts as hung."
    )
    cache: bool = Field(
        True,
        description="Whether the result of an earlier run stands for a new one while notebook, "
        "parameters, data, code and packages are unchanged.",
    )
    resume: bool = Field(
        False,
        description="Whether to keep what the last run of this matrix has finished, if that was "
        "interrupted; without `cache` nothing else is kept.",
    )
    output: Path | None = Field(
        None, description="Folder that takes a copy of the reports, for a CI job to upload."
    )

    @classmethod
    def from_yaml(cls, path: Path | str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Return the matrix that a YAML file describes; see ``with_notebooks_found``."""
        values = read_yaml(Path(path))
        matrix = values.get("matrix")
        if isinstance(matrix, dict):
            values["matrix"] = with_notebooks_found(matrix, Path(path).resolve().parent)
        return cls.from_mapping({**values, **(overrides or {})})

    @field_validator("matrix")
    @classmethod
    def _expands(cls, matrix: dict[str, Any]) -> dict[str, Any]:
        try:
            made = combinations(matrix)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        nameless = [each for each in made if not str(each.get(NOTEBOOK) or "").strip()]
        if nameless:
            raise ValueError(
                f"a combination ({described(nameless[0]) or 'empty'}) names no notebook. "
                "Give `matrix` a list of paths as `notebook`."
            )
        return matrix

    def entries(self) -> list[Entry]:
        """Return the notebook runs that the matrix stands for."""
        made = combinations(self.matrix)
        width = len(str(len(made)))
        return [self._entry(f"{number:0{width}}", each) for number, each in enumerate(made, 1)]

    def _entry(self, number: str, combination: Combination) -> Entry:
        parameters = {name: value for name, value in combination.items() if name != NOTEBOOK}
        config = RunConfig(
            notebook=Path(str(combination[NOTEBOOK])),
            parameters=parameters,
            cell_timeout_s=self.cell_timeout_s,
        )
        values = described(parameters)
        name = f"{config.notebook.stem} ({values})" if values else config.notebook.stem
        slug = re.sub(r"[^\w.=-]+", "-", f"{number}-{config.notebook.stem}-{values}")
        return Entry(name, slug[:_LONGEST_SLUG].strip("-"), config)


@dataclass(frozen=True)
class Entry:
    """One notebook run of a matrix.

    Attributes:
        name: What reports call it: ``01_train (dataset=digits, epochs=2)``.
        slug: What its files are called; no other entry's are called so.
        config: What to run.
    """

    name: str
    slug: str
    config: RunConfig


def described(values: Combination) -> str:
    """Return names and values in a line."""
    return ", ".join(f"{name}={value}" for name, value in values.items() if name != NOTEBOOK)
