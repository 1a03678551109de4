"""A served model whose champion is challenged by a version as good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agiwb.jobs.job import list_jobs
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.promotion import challenge, find_version
from agiwb.runs.store import open_store
from agiwb.serving.detached import DetachedServer, serve_detached
from agiwb.serving.serve import ServeConfig
from tests.maintenance.versions import MODEL, register_shares


@contextmanager
def challenged_server(workspace: Path) -> Iterator[DetachedServer]:
    """Yield a server of version 1, the champion; version 2 challenges it. All is stopped after.

    The workspace is this process's as long as the block goes on.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(workspace))
        register_shares(workspace / "files", 0.95, 1.0)
        config = ServeConfig(model=f"{MODEL}/1", model_name=MODEL, rest_api_port=0, grpc=False)
        server = serve_detached(config)
        try:
            server.wait_until_ready()
            promote_model(PromoteConfig(model=MODEL, version=1, server=server.id))
            store = open_store()
            challenge(MODEL, find_version(MODEL, 2, store), store, who="ann", why="a newer one")
            yield server
        finally:
            for job in list_jobs():
                job.cancel(wait=True, grace_s=1)
            server.stop()
