"""A candidate's assignment as it travels to another machine, and what it brings back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agiwb.compression.trials.assignment import Assignment
from agiwb.compression.trials.cache import Cache, Parcel
from agiwb.compression.trials.shared_data import share
from agiwb.crews.crew import Ending
from agiwb.crews.luggage import Luggage
from agiwb.errors import WorkError
from agiwb.runs.files import sha256_of_file, write_atomic


@dataclass(frozen=True)
class CandidateLuggage(Luggage):
    """An assignment with all that its worker may lack; what it has made comes back.

    Attributes:
        argument: The assignment, whose paths are the sweep's machine's.
        dataset: Name or path of the data set, which the worker must have as well.
        model: Content of the model's file.
        known: The longest part of the training that is done already.
    """

    argument: Assignment
    dataset: str
    model: bytes
    known: Parcel | None

    @classmethod
    def of(cls, job: Assignment, dataset: str) -> CandidateLuggage:
        """Return the assignment, packed."""
        parcels = map(job.cache.pack, reversed(job.stages_keys))
        known = next((parcel for parcel in parcels if parcel), None)
        return cls(job, dataset, job.material.model.read_bytes(), known)

    def arrive(self, folder: Path, threads: int) -> Assignment:
        """Return the assignment with the files of this machine.

        It trains with the threads that the sweep gives it, whatever this worker has.

        Raises:
            WorkError: This machine has other data than the sweep was started with.
        """
        material = self.argument.material
        arrays = self._shared_data(folder)
        model = folder / f"{material.model_sha256[:16]}.keras"
        if not model.is_file() or sha256_of_file(model) != material.model_sha256:
            write_atomic(model, self.model)
        cache = Cache(folder / "entries", folder / "drafts", self.argument.cache.not_before)
        if self.known is not None:
            cache.unpack(self.known)
        return self.argument.elsewhere(model, arrays, cache)

    def send_back(self, argument: Assignment, ending: Ending) -> list[Parcel]:
        """Return all stages that were trained, and the candidate if it was made."""
        parcels = map(argument.cache.pack, (*argument.stages_keys, argument.key))
        return [parcel for parcel in parcels if parcel]

    def unpack(self, ending: Ending, brought: list[Parcel] | None) -> Ending:
        """Keep what was made."""
        for parcel in brought or ():
            self.argument.cache.unpack(parcel)
        return ending

    def _shared_data(self, folder: Path) -> Path:
        from agiwb.datasets.registry import load_arrays_of_classes

        sha256 = self.argument.material.data_sha256
        arrays = folder / f"data-{sha256[:16]}"
        if not (arrays / "complete").exists():
            data = load_arrays_of_classes(self.dataset, "A sweep")
            if data.fingerprint != sha256:
                raise WorkError(
                    "A worker has another version of the data set than the sweep was started with.",
                    "Give all workers the same files.",
                )
            share(data, arrays)
            (arrays / "complete").touch()
        return arrays
