"""The file that holds a finished run's record, beside the files it tells of."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from agiwb.errors import AgiwbError, NotFoundError
from agiwb.runs.record import Record

RECORD_FILE = "record.json"


def read_record(path: Path) -> Record:
    """Return the record stored at ``path``.

    Raises:
        NotFoundError: It cannot be read, perhaps because another version of agiwb wrote it.
    """
    from agiwb.runs.registry import load_step

    step = path.parents[2].name
    try:
        record: Record = load_step(step).record_type.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, AgiwbError) as error:
        raise NotFoundError(
            f"The record {path} cannot be read.",
            "Another version of agiwb may have written it: run the step again.",
        ) from error
    # The workspace may have been moved since.
    return record.model_copy(update={"run": record.run.model_copy(update={"folder": path.parent})})
