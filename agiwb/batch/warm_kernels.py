"""Kernels that waited for their viewer, and are not taken for ones that nobody needs any more.

Jupyter stops a kernel that has long been idle without a page connected to it. One that waited warm
has long been idle when its page is sent, and until that page connects it looks abandoned: it would
be stopped under its viewer's eyes.
"""

from __future__ import annotations

import time
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


class WarmKernels(AsyncMappingKernelManager):
    """The kernels of a server of reports, to which Voila adds the pool of those that wait."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._taken: dict[str, float] = {}

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Stop a kernel that is idle, but not before it was out of the pool for as long.

        Voila passes on only those that are out of it.
        """
        now = time.monotonic()
        if now - self._taken.setdefault(kernel_id, now) >= self.cull_idle_timeout:
            await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]
        self._taken = {one: since for one, since in self._taken.items() if one in self}
