"""What a model's base path holds, as far as its policy wants it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from agiwb.serving.servables.folders import Fingerprint, Settling
from agiwb.serving.servables.model_config import ModelConfig
from agiwb.serving.versions import Version, find_versions


@dataclass(frozen=True)
class Scan:
    """The versions to serve, with the state of their files; and whether some are incomplete."""

    aspired: Mapping[Version, Fingerprint] = field(default_factory=dict)
    incomplete: bool = False


def scan(
    config: ModelConfig,
    held: Mapping[int, Fingerprint],
    settling: Settling,
    also: Collection[int] = (),
) -> Scan | None:
    """Return the versions of ``config`` to serve, or None if the base path cannot be read.

    The policy chooses among complete versions, so one that is still being copied displaces
    nothing. A base path that is not there has no versions.

    Args:
        config: The model.
        held: By number the files of versions that are loaded or being loaded; not looked at again.
        settling: What earlier looks have seen.
        also: Versions to serve whatever the policy chooses, if they are there.
    """
    try:
        found = {version.number: version for version in find_versions(config.base_path)}
    except OSError as error:
        logging.getLogger("agiwb").warning(
            "The base path of model %s cannot be read, its versions stay: %s",
            config.name,
            error.strerror,
        )
        return None
    for number in held.keys() & found.keys():
        settling.forget(found[number])
    files = dict(held)
    numbers = set(found)
    while True:
        chosen = sorted({*config.policy.choose(numbers), *numbers.intersection(also)})
        for number in chosen:
            if number not in files and (seen := settling.complete(found[number])) is not None:
                files[number] = seen
        if missing := set(chosen) - set(files):
            numbers -= missing
            continue
        return Scan({found[number]: files[number] for number in chosen}, len(numbers) < len(found))
