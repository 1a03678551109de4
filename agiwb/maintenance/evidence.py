"""What a promotion rests on: the gate's last record of exactly these two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.errors import InputError
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.gate import GateRecord
from agiwb.runs.files import sha256_of_file

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

RECORD_FILE = "record.json"


def evidence_for(
    model: str, champion: ModelVersion, challenger: ModelVersion, store: RunStore
) -> tuple[str, str]:
    """Return digest and run of the gate's record that lets ``challenger`` pass.

    Raises:
        InputError: The gate has not compared the two, or said something else last.
    """
    found = last_gate(model, champion, challenger, store)
    asked = f"`agiwb gate --model {model} --challenger {challenger.version}`"
    if found is None:
        raise InputError(
            f"The gate has not compared version {challenger.version} of {model} with its champion, "
            f"version {champion.version}.",
            f"Ask it: {asked}. Or promote with `--ungated --why REASON`.",
        )
    if found.verdict != "promote":
        raise InputError(
            f"The gate does not let version {challenger.version} of {model} pass: "
            f"{found.verdict}. {' '.join(found.sentences)}",
            f"Ask it again once there are more labels: {asked}. Or promote with `--ungated --why "
            "REASON`.",
        )
    return evidence_of(found)


def evidence_of(record: GateRecord) -> tuple[str, str]:
    """Return digest and run of a record; the digest is that of its file, as sha256sum gives it."""
    return sha256_of_file(record.file(RECORD_FILE)), record.run.id


def last_gate(
    model: str, champion: ModelVersion, challenger: ModelVersion, store: RunStore
) -> GateRecord | None:
    """Return the gate's newest record of these two versions; None without one."""
    for record in store.find("gate"):
        if (
            isinstance(record, GateRecord)
            and record.model_name == model
            and record.champion.version == champion.version
            and record.challenger.version == challenger.version
        ):
            return record
    return None
