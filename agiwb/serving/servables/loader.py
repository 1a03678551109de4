"""From a version's folder to a model in memory that is checked, warm and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.manifest import MANIFEST_FILE, MODEL_FILES, Format
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.files import damaged_files
from agiwb.runtimes.child.runtime import ChildRuntime
from agiwb.runtimes.litert import LiteRTRuntime
from agiwb.runtimes.onnx import OnnxRuntime
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.servables.folders import read_manifest
from agiwb.serving.servables.servable import RunTime, Servable
from agiwb.serving.servables.timing import time_runs
from agiwb.serving.servables.warm_up import WARM_UP_FILE, warm_up
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import Version
from agiwb.trust.encryption import decrypt_folder, is_encrypted
from agiwb.trust.signing import verify_folder

SERVED_FORMATS: tuple[Format, ...] = ("onnx", "litert", "saved_model", "keras")
"""In the order of preference where a folder holds several: the fastest first."""


class InProcessServable:
    """A model of one signature whose engine lives in this process; see Servable."""

    def __init__(self, runtime: OnnxRuntime | LiteRTRuntime, *, inline: bool) -> None:
        """Serve ``runtime``; ``inline`` says that it holds no lock."""
        self._run = runtime.run
        self.signatures: Mapping[str, ServedSignature] = {
            SIGNATURE_NAME: ServedSignature(runtime.signature)
        }
        self.run_time = RunTime()
        self.inline = inline

    def run(
        self, inputs: Tensors, signature_name: str = SIGNATURE_NAME, outputs: Sequence[str] = ()
    ) -> Tensors:
        """Return the outputs by name; see Servable."""
        if signature_name != SIGNATURE_NAME:
            raise InputError(
                f"The model has no signature `{signature_name}`.", f"It has: {SIGNATURE_NAME}."
            )
        return self._run(inputs, outputs)

    def close(self) -> None:
        """Let go of the engine, whose memory is the system's once nothing runs in it."""
        self._run = _closed


class ChildServable:
    """A model in a child process; see Servable."""

    inline = False

    def __init__(self, runtime: ChildRuntime) -> None:
        """Serve every signature of ``runtime``."""
        self._runtime = runtime
        self.left_to_close = ExitStack()
        """What the child may read again when it has to be started anew."""
        self.signatures = runtime.signatures
        self.run_time = RunTime()

    def run(
        self, inputs: Tensors, signature_name: str = SIGNATURE_NAME, outputs: Sequence[str] = ()
    ) -> Tensors:
        """Return the outputs by name; see Servable."""
        return self._runtime.run(inputs, signature_name, outputs)

    def close(self) -> None:
        """End the child process."""
        with self.left_to_close:
            self._runtime.close()


def load_servable(
    name: str,
    version: Version,
    threads: int = 1,
    *,
    public_key: Path | None = None,
    warm_up_iterations: int = 1,
    on_warmed: Callable[[str, float, int], None] | None = None,
) -> Servable:
    """Return the model in ``version``'s folder: its files checked, loaded, warm and timed.

    ONNX and LiteRT run in this process, SavedModels and ``.keras`` files in a child process. What
    is encrypted is decrypted into a private folder, for as long as it is read.

    Args:
        name: Of the model, for errors.
        version: The folder.
        threads: For each operation of the model.
        public_key: Of whom must have signed the folder; by default nobody must have.
        warm_up_iterations: How often each recorded warm-up request runs.
        on_warmed: Told the folder, the seconds and the number of runs of recorded requests.

    Raises:
        Refusal: A file differs from the manifest or from what was signed, or nothing was signed.
        InputError: The folder holds no model that is served, its manifest cannot be read, the
            model cannot be loaded, or a recorded warm-up request fails.
        ServingError: A child process ended, or took too long.
    """
    with ExitStack() as private:
        folder = _readable(version.folder, private)
        _check_signature(folder, version.folder, public_key)
        _check_files(folder)
        servable = _open(name, folder, threads)
        try:
            start = time.perf_counter()
            ran = warm_up(servable, folder, iterations=warm_up_iterations)
            if on_warmed is not None and ran and (folder / WARM_UP_FILE).is_file():
                on_warmed(str(version.folder), time.perf_counter() - start, ran)
            servable.run_time = time_runs(servable)
        except BaseException:
            servable.close()
            raise
        if isinstance(servable, ChildServable):
            servable.left_to_close = private.pop_all()
        return servable


def _readable(folder: Path, private: ExitStack) -> Path:
    """Return ``folder``, or if it is encrypted a private folder that ``private`` removes."""
    if not is_encrypted(folder):
        return folder
    try:
        decrypted = decrypt_folder(folder)
    except WorkError as error:
        raise Refusal(Code.DATA_LOSS, error.problem, error.fix) from error
    private.callback(decrypted.close)
    return decrypted.path


def _check_signature(folder: Path, shown: Path, public_key: Path | None) -> None:
    """Raise Refusal if the owner of the key must have signed ``folder``, and did not."""
    if public_key is None:
        return
    try:
        verify_folder(folder, public_key)
    except (NotFoundError, WorkError) as error:
        problem = error.problem.replace(str(folder), str(shown))
        raise Refusal(Code.PERMISSION_DENIED, problem, "Publish a signed artifact.") from error


def _check_files(folder: Path) -> None:
    """Raise Refusal if there is a manifest and a file is not as it says."""
    artifact = read_manifest(folder)
    if artifact is not None and (changed := damaged_files(folder, artifact.files)):
        raise Refusal(
            Code.DATA_LOSS,
            f"The file {folder / changed[0]} is not the one that {MANIFEST_FILE} describes: "
            "its SHA-256 differs, or it is missing.",
            "Publish the model again.",
        )


def _open(name: str, folder: Path, threads: int) -> InProcessServable | ChildServable:
    for kind in SERVED_FORMATS:
        path = folder / MODEL_FILES[kind]
        if not path.is_file():
            continue
        if kind == "onnx":
            return InProcessServable(OnnxRuntime(path, threads), inline=True)
        if kind == "litert":
            return InProcessServable(LiteRTRuntime(path, threads), inline=False)
        return ChildServable(ChildRuntime(path, kind, threads))
    listed = " or ".join(MODEL_FILES[kind] for kind in SERVED_FORMATS)
    h5 = (folder / MODEL_FILES["h5"]).is_file()
    raise NotFoundError(
        f"The folder {folder} of the model {name!r} holds no {listed}.",
        "`agiwb convert` makes them of a .h5 file, which itself is not served."
        if h5
        else "`agiwb convert` writes them.",
    )


def _closed(inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> Tensors:
    raise InputError("The model was unloaded.", "Ask for a version that is available.")
