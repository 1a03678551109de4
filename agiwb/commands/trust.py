"""``agiwb trust``: keys, signatures, and artifacts encrypted at rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from agiwb.errors import InputError
from agiwb.flags import Parser
from agiwb.settings import Settings
from agiwb.trust.encryption import decrypt_folder, encrypt_folder, is_encrypted
from agiwb.trust.key_files import make_encryption_key, make_signing_keys
from agiwb.trust.signing import sign_folder, verify_folder

_USAGE = """agiwb trust keygen FILE [--encryption] [--json]
       agiwb trust sign ARTIFACT --key FILE [--json]
       agiwb trust verify ARTIFACT [--key FILE.pub] [--json]
       agiwb trust encrypt ARTIFACT TARGET [--json]
       agiwb trust decrypt ARTIFACT TARGET [--json]

The key that encrypts is never a flag: AGIWB_ENCRYPTION_KEY_FILE names its file, or
AGIWB_ENCRYPTION_KEY holds it. verify takes AGIWB_REQUIRE_SIGNATURE where --key is not given."""

_ACTIONS = ("keygen", "sign", "verify", "encrypt", "decrypt")


def run(words: list[str], summary: str) -> int:
    """Do the one thing that is asked, and say what came of it."""
    parser = Parser(prog="agiwb trust", description=summary, usage=_USAGE)
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("path", type=Path, help="an artifact's folder, or the key's file to make")
    parser.add_argument("target", type=Path, nargs="?", help="the folder to make")
    parser.add_argument("--key", type=Path, help="the private key to sign with, or the public one")
    parser.add_argument("--encryption", action="store_true", help="make a key that encrypts")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(words)
    if (options.target is not None) != (options.action in {"encrypt", "decrypt"}):
        parser.error("encrypt and decrypt need a target, and only they take one")
    if options.key is not None and options.action not in {"sign", "verify"}:
        parser.error("only sign and verify take --key")
    if options.action == "keygen":
        said = _keygen(options.path, encryption=options.encryption)
    elif options.action in {"sign", "verify"}:
        said = _sign_or_verify(options.action, options.path, options.key)
    else:
        act = encrypt_folder if options.action == "encrypt" else _decrypt
        said = {"artifact": str(act(options.path, options.target))}
    if options.json:
        print(json.dumps({"action": options.action, **said}, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in said.items()))
    return 0


def _keygen(path: Path, *, encryption: bool) -> dict[str, str]:
    if encryption:
        return {"encryption key": str(make_encryption_key(path))}
    private, public = make_signing_keys(path)
    return {"private key": str(private), "public key": str(public)}


def _sign_or_verify(action: str, folder: Path, key: Path | None) -> dict[str, str]:
    key = key or (Settings().require_signature if action == "verify" else None)
    if key is None:
        raise InputError(f"`agiwb trust {action}` needs a key.", "Give it as `--key FILE`.")
    if action == "sign":
        if is_encrypted(folder):
            raise InputError(f"The artifact {folder} is encrypted.", "Sign it, and then encrypt.")
        return {"signature": str(sign_folder(folder, key))}
    if is_encrypted(folder):
        private = decrypt_folder(folder)
        try:
            verify_folder(private.path, key)
        finally:
            private.close()
    else:
        verify_folder(folder, key)
    return {"verified": str(folder), "public key": str(key)}


def _decrypt(folder: Path, target: Path) -> Path:
    """Return ``target``, where the artifact now lies for its owner only."""
    if target.exists():
        raise InputError(f"There is a {target} already.", "Give another path.")
    private = decrypt_folder(folder)
    try:
        target.mkdir(mode=0o700, parents=True)
        shutil.copytree(private.path, target, dirs_exist_ok=True)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        private.close()
    return target
