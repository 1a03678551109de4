"""The server process: ``python -m agiwb.serving.server``.

It loads its models, warms them, listens, and prints one JSON line (see Ready) on stdout. It imports
neither TensorFlow nor MLflow, so that it starts in about a second. Its flags are TensorFlow
Serving's where that has them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError, ServingError
from agiwb.flags import parse_flags, parser_for
from agiwb.serving.address import Ready, listen, url_of
from agiwb.serving.assembly import Server
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.listener import new_event_loop, serve_http
from agiwb.serving.settings import OPERATOR_KEY, ServerSettings

if TYPE_CHECKING:
    from agiwb.serving.grpc.server import GrpcServer

_LAST_REQUESTS_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop; return 0, or 2 if the input was wrong."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = parser_for("serve", str(__doc__), ServerSettings)
    try:
        settings, _ = parse_flags(parser, ServerSettings, words)
        run_server(settings)
    except (InputError, ServingError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def run_server(settings: ServerSettings) -> None:
    """Serve until SIGTERM, SIGINT, or the end of stdin if the settings say so.

    Raises:
        InputError: The settings, the models or the ports are not as they should be.
    """
    listener = listen(settings.host, settings.rest_api_port)
    server = Server(settings, os.environ.pop(OPERATOR_KEY, ""))
    loop = new_event_loop()
    try:
        server.start()
        grpc = _start_grpc(server)
        try:
            loop.run_until_complete(_answer(server, listener, grpc))
        finally:
            if grpc is not None:
                grpc.stop(_LAST_REQUESTS_S)
    finally:
        listener.close()
        server.stop()
        loop.close()


async def _answer(server: Server, listener: socket.socket, grpc: GrpcServer | None) -> None:
    settings = server.settings
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if settings.stop_with_stdin:
        threading.Thread(target=_wait_for_stdin, args=[loop, stopped], daemon=True).start()
    context = None
    if server.tls is not None:
        from agiwb.serving.access.tls import http_context

        context = http_context(server.tls)
    limits = Limits(body_bytes=settings.max_body_bytes, in_flight=settings.max_concurrency)
    http = await serve_http(server.application, [listener], limits=limits, ssl_context=context)
    print(_ready(server, listener, grpc).model_dump_json(), flush=True)
    await stopped.wait()
    await http.stop(_LAST_REQUESTS_S)


def _start_grpc(server: Server) -> GrpcServer | None:
    settings = server.settings
    if settings.grpc_port is None:
        return None
    from agiwb.serving.grpc.server import start_grpc

    credentials = None
    if server.tls is not None:
        from agiwb.serving.access.tls import grpc_credentials

        credentials = grpc_credentials(server.tls)
    start = partial(
        start_grpc,
        server.engine,
        server.gate,
        settings.host,
        credentials=credentials,
        admin=settings.admin,
        max_message_bytes=settings.max_body_bytes,
        most_calls=settings.max_concurrency,
    )
    try:
        return start(settings.grpc_port)
    except ServingError:
        if settings.port is not None:
            raise
        # The usual port was not asked for by name: any other will do, and the log says which.
        grpc = start(0)
        logging.getLogger("agiwb").warning(
            "Port %d is in use: gRPC is answered on %d.", settings.grpc_port, grpc.port
        )
        return grpc


def _ready(server: Server, listener: socket.socket, grpc: GrpcServer | None) -> Ready:
    scheme = "https" if server.tls else "http"
    grpc_address = f"{server.settings.host}:{grpc.port}" if grpc else ""
    with server.engine.lease(ModelSpec(server.first_model)) as version:
        return Ready(
            address=url_of(listener, scheme),
            grpc_address=grpc_address,
            model_name=version.name,
            version=version.number,
            signature=version.servable.signatures[SIGNATURE_NAME].signature,
        )


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Stop the server when stdin closes, as it does when the parent process ends, however it ends.

    A death signal (PR_SET_PDEATHSIG) would come as soon as the *thread* that started us ends.
    """
    while os.read(0, 1024):
        pass
    loop.call_soon_threadsafe(stopped.set)


if __name__ == "__main__":
    sys.exit(main())
