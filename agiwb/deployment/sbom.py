"""The software bill of materials: CycloneDX 1.6 of what the server's image installs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import agiwb
from agiwb.deployment.requirements import Pin


def bill_of_materials(pins: Sequence[Pin]) -> dict[str, Any]:
    """Return the CycloneDX document; the same pins always give the same one."""
    application = f"pkg:pypi/agiwb@{agiwb.__version__}"
    by_name = {pin.name: pin for pin in pins}
    content = "\n".join(f"{pin.package_url} {pin.sha256}" for pin in pins)
    needed = {name for pin in pins for name in pin.requires}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": application,
                "name": "agiwb",
                "version": agiwb.__version__,
                "purl": application,
            }
        },
        "components": [_component(pin) for pin in pins],
        "dependencies": [
            {
                "ref": application,
                "dependsOn": [pin.package_url for pin in pins if pin.name not in needed],
            },
            *(
                {
                    "ref": pin.package_url,
                    "dependsOn": [by_name[name].package_url for name in pin.requires],
                }
                for pin in pins
            ),
        ],
    }


def _component(pin: Pin) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": pin.package_url,
        "name": pin.name,
        "version": pin.version,
        "purl": pin.package_url,
    }
    if pin.license:
        component["licenses"] = [{"expression": pin.license}]
    if pin.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": pin.sha256}]
    return component
