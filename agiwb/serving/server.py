"""The server process: ``python -m agiwb.serving.server``.

It loads one version of one model, warms it, listens, and prints one JSON line (see Ready) on
stdout. It imports neither TensorFlow nor MLflow, so that it starts in about a second.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from agiwb.errors import InputError
from agiwb.serving.address import Ready, is_loopback, listen, url_of
from agiwb.serving.app import PredictApp
from agiwb.serving.prediction_log import PredictionLog
from agiwb.serving.served_model import load_model
from agiwb.serving.versions import choose_version

# Clients in notebooks pause between cells; a connection is cheaper kept than made anew.
_IDLE_CONNECTION_S = 75
_LAST_REQUESTS_S = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop; return 0, or 2 if the input was wrong."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    options = _parse(arguments)
    try:
        _serve(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _serve(options: argparse.Namespace) -> None:
    if not is_loopback(options.host):
        raise InputError(
            f"The host {options.host} can be reached from other machines.",
            "Authentication comes with a later version: serve on 127.0.0.1 until then.",
        )
    version = choose_version(options.model_base_path, options.model_version)
    model = load_model(options.model_name, version, options.threads)
    log = PredictionLog(options.log_folder) if options.log_folder else None
    listener = listen(options.host, options.rest_api_port)
    ready = Ready(
        address=url_of(listener),
        model_name=model.name,
        version=model.version,
        signature=model.signature,
    )
    config = uvicorn.Config(
        PredictApp(model, log),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )
    server = _AnnouncingServer(config, ready)
    if options.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, args=[server], daemon=True).start()
    server.run(sockets=[listener])


class _AnnouncingServer(uvicorn.Server):
    """A server that says on stdout that it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Ready) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, then say so."""
        await super().startup(sockets)
        print(self._ready.model_dump_json(), flush=True)


def _stop_with_stdin(server: uvicorn.Server) -> None:
    """Stop ``server`` when stdin closes, as it does when the parent process ends, however it ends.

    A death signal (PR_SET_PDEATHSIG) would come as soon as the *thread* that started us ends.
    """
    while os.read(0, 1024):
        pass
    server.should_exit = True


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agiwb.serving.server", description=__doc__)
    parser.add_argument("--model-name", required=True)
    parser.add_argument("--model-base-path", required=True, type=Path)
    parser.add_argument("--model-version", type=int, help="by default the highest")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--rest-api-port", type=int, default=8501)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-folder", type=Path, help="by default predictions are not logged")
    parser.add_argument("--stop-with-stdin", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
