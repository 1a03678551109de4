"""Signing an artifact's folder and verifying it, by OpenSSF Model Signing v1.

The signature is a Sigstore bundle that lies in the folder and states the SHA-256 of every other
file there: one that was changed, added, removed or renamed breaks it. ``model_signing verify key``
reads it too, if told to ignore the signature's own file.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.files import list_files, write_atomic
from agiwb.trust.key_files import require_private

SIGNATURE_FILE = "model.sig"


def sign_folder(folder: Path, private_key: Path) -> Path:
    """Return the signature that was written into ``folder``; a former one is replaced.

    Args:
        folder: All of its files are signed.
        private_key: PEM, of the curves P-256, P-384 or P-521, that only its owner may read.

    Raises:
        InputError: There is no such folder, or the key is none, or not kept from others.
    """
    from model_signing import signing

    require_private(private_key)
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder}.", "Give the folder of an artifact.")
    try:
        unset = signing.Config()  # type: ignore[no-untyped-call]
        config = unset.use_elliptic_key_signer(private_key=private_key)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"The file {private_key} holds no private key that signs: {error}.",
            "`agiwb trust keygen FILE` makes one.",
        ) from None
    path, draft = folder / SIGNATURE_FILE, folder / f".{SIGNATURE_FILE}.part"
    try:
        config.set_hashing_config(_hashing(draft.name)).sign(folder, draft)
        content = draft.read_bytes()
    except ValueError as error:
        raise InputError(f"The folder {folder} cannot be signed: {error}.", "") from None
    finally:
        draft.unlink(missing_ok=True)
    write_atomic(path, content)
    return path


def verify_folder(folder: Path, public_key: Path) -> None:
    """Raise unless every file in ``folder`` is as the owner of the key signed it.

    Raises:
        NotFoundError: There is no signature, or no such public key.
        InputError: The public key is none.
        WorkError: The signature is another's or was altered, or files were changed, added or
            removed since; each is named.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    if not public_key.is_file():
        raise NotFoundError(f"There is no public key {public_key}.", "Check the path.")
    path = folder / SIGNATURE_FILE
    if not path.is_file():
        raise NotFoundError(
            f"The artifact {folder} is not signed.", f"`agiwb trust sign {folder} --key KEY` signs."
        )
    try:
        unset = verifying.Config()  # type: ignore[no-untyped-call]
        config = unset.use_elliptic_key_verifier(public_key=public_key)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"The file {public_key} holds no public key: {error}.",
            "Give the `.pub` file that `agiwb trust keygen` made.",
        ) from None
    try:
        config.set_hashing_config(_hashing()).verify(folder, path)
    except InvalidSignature:
        raise _not_theirs(folder, public_key) from None
    # What is in the file decides what goes wrong while it is read: nothing is let through.
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith("Signature mismatch"):
            raise WorkError(
                f"The artifact {folder} is not what was signed: {'; '.join(_changes(folder))}.",
                "Take it again from whoever signed it.",
            ) from None
        raise _not_theirs(folder, public_key) from error


def _hashing(*drafts: str) -> Any:
    """Return how files are hashed: all but the signature itself, also those that git would skip."""
    from model_signing import hashing

    ignored = [SIGNATURE_FILE, *drafts]
    configured = hashing.Config()  # type: ignore[no-untyped-call]
    return configured.set_ignored_paths(paths=ignored, ignore_git_paths=False)


def _not_theirs(folder: Path, public_key: Path) -> WorkError:
    return WorkError(
        f"The signature {folder / SIGNATURE_FILE} was not made with the key of {public_key}, "
        "or was altered since.",
        "Take the artifact from whoever has that key, or give the public key of who signed it.",
    )


def _changes(folder: Path) -> list[str]:
    """Return in words how the files differ from those of a signature that is the key's owner's."""
    bundle = json.loads((folder / SIGNATURE_FILE).read_bytes())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    signed = {entry["name"]: entry["digest"] for entry in statement["predicate"]["resources"]}
    found = {file.path: file.sha256 for file in list_files(folder) if file.path != SIGNATURE_FILE}
    lists = {
        "changed": sorted(path for path in signed.keys() & found if signed[path] != found[path]),
        "added": sorted(found.keys() - signed.keys()),
        "removed": sorted(signed.keys() - found.keys()),
    }
    return [f"{', '.join(paths)} {what}" for what, paths in lists.items() if paths] or ["it moved"]
