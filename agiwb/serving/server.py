"""The server process: ``python -m agiwb.serving.server``.

It loads its models, warms them, listens, and prints one JSON line (see Ready) on stdout. It imports
neither TensorFlow nor MLflow, so that it starts in about a second. Its flags are TensorFlow
Serving's where that has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError, ServingError
from agiwb.flags import parse_flags, parser_for
from agiwb.serving.address import Ready, authority_of, listen, url_of
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.grpc_port import take_grpc_port
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.listener import new_event_loop, serve_http
from agiwb.serving.settings import OPERATOR_KEY, ServerSettings
from agiwb.serving.status import Refusal
from agiwb.serving.stop_limits import PROCESS_S, REQUESTS_S
from agiwb.serving.workers.assignment import take_assignment

if TYPE_CHECKING:
    from agiwb.serving.assembly import Server
    from agiwb.serving.grpc.server import GrpcServer
    from agiwb.serving.workers.crew import Crew

_ABORT_S = 0.5
"""To cut off what has not been answered by then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop; return 0, or 2 if the input was wrong."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("agiwb").setLevel(logging.INFO)  # which versions come and go
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = parser_for("serve", str(__doc__), ServerSettings)
    crew = _take_place()
    try:
        settings, _ = parse_flags(parser, ServerSettings, words)
        if (port := os.environ.get("AIP_HTTP_PORT", "")).isdecimal():  # Vertex AI decides
            settings = settings.model_copy(update={"rest_api_port": int(port)})
        if settings.workers > 1 and crew is None:
            from agiwb.serving.workers.supervisor import supervise

            supervise(settings, words)
        else:
            run_server(settings, crew)
    except (InputError, ServingError) as error:
        if crew is not None:
            crew.failed(error, error.exit_code)  # told once, not by every worker
        else:
            print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _take_place() -> Crew | None:
    """Return the other workers if this process is one of several."""
    assignment = take_assignment()
    if assignment is None:
        return None
    from agiwb.serving.workers.crew import Crew

    return Crew(assignment)


def run_server(settings: ServerSettings, crew: Crew | None = None) -> None:
    """Serve until SIGTERM, SIGINT, or the end of stdin if the settings say so.

    The process is the server's: it ends PROCESS_S seconds after it was asked to, also if a request
    hangs, but not before all that was acknowledged is in the prediction log.

    Args:
        settings: What is served, and where.
        crew: The other workers if this process is one of several; then it also stops when their
            supervisor ends.

    Raises:
        InputError: The settings, the models or the ports are not as they should be.
        ServingError: The other workers answer with what this one cannot load.
    """
    from agiwb.serving.assembly import Server  # not in a supervisor

    listener = None if crew is not None else listen(settings.host, settings.rest_api_port)
    server = Server(settings, os.environ.pop(OPERATOR_KEY, ""), crew)
    loop = new_event_loop()
    try:
        loop.run_until_complete(_answer(server, listener, crew))
    finally:
        if listener is not None:
            listener.close()
        server.stop()
        loop.close()


async def _answer(server: Server, listener: socket.socket | None, crew: Crew | None) -> None:
    """Answer until asked to stop; probes are answered while the models are still being loaded.

    A worker does not listen before it has loaded what the other workers answer with.
    """
    settings = server.settings
    loop = asyncio.get_running_loop()
    stopped, at_once = _stop_signals(loop)
    if settings.stop_with_stdin:
        threading.Thread(target=_wait_for_stdin, args=[loop, stopped], daemon=True).start()
    # A worker is told by the supervisor, before that asks it to stop.
    drain_s = 0.0 if crew is not None else settings.drain_seconds
    asked_to_stop = asyncio.ensure_future(_drained(server, drain_s, stopped, at_once))
    asked_to_stop.add_done_callback(lambda _: _end_in_time())
    if crew is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the supervisor decides
        crew.link.on_end = lambda: _set_soon(loop, stopped)
        crew.on_drain = server.drain
        if not await _start(server, asked_to_stop):
            return
    if listener is None:
        listener = listen(settings.host, settings.rest_api_port, reuse_port=True)
    context = None
    if server.tls is not None:
        from agiwb.serving.access.tls import http_context

        context = http_context(server.tls)
    limits = Limits(body_bytes=settings.max_body_bytes, in_flight=_share_of_requests(settings))
    http = await serve_http(
        server.application,
        [listener],
        limits=limits,
        ssl_context=context,
        on_refusal=server.engine.metrics.refused_for,
    )
    grpc = None
    try:
        if crew is None and not await _start(server, asked_to_stop):
            return
        # In a thread: HTTP answers from now on, and importing gRPC takes a third of a second.
        grpc = await asyncio.to_thread(_start_grpc, server)
        ready = _ready(server, listener, grpc).model_dump_json()
        gc.collect()
        gc.freeze()  # hundreds of thousands of objects that stay: requests waited for looks at them
        if crew is None:
            print(ready, flush=True)
        else:
            crew.up(ready)
        await asked_to_stop
    finally:
        stops: list[asyncio.Future[None]] = [asyncio.ensure_future(http.stop(REQUESTS_S))]
        if grpc is not None:
            stops.append(loop.run_in_executor(None, grpc.stop, REQUESTS_S))
        # A call that hangs in its thread does not keep the rest from being stopped.
        await asyncio.wait(stops, timeout=REQUESTS_S + _ABORT_S)


def _stop_signals(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Event, asyncio.Event]:
    """Return what the first and the second signal to stop set."""
    stopped, at_once = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            at_once.set()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped, at_once


async def _drained(
    server: Server, seconds: float, stopped: asyncio.Event, at_once: asyncio.Event
) -> None:
    """Return once the server is to end: ``seconds`` after it was asked to, if it was ready."""
    await stopped.wait()
    if seconds and server.engine.is_ready():
        server.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(at_once.wait(), seconds)


async def _start(server: Server, asked_to_stop: asyncio.Future[Any]) -> bool:
    """Load the models; return False if the server was asked to stop meanwhile."""
    started = asyncio.ensure_future(asyncio.to_thread(server.start))
    either: set[asyncio.Future[Any]] = {started, asked_to_stop}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        await asyncio.to_thread(server.stop)
        await asyncio.wait({started})
        return False
    if started.exception() is not None:
        asked_to_stop.cancel()  # nobody waits for it any more
        await asyncio.sleep(0)
    started.result()
    return True


def _share_of_requests(settings: ServerSettings) -> int:
    return -(-settings.max_concurrency // settings.workers)


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
        changes=server.changes,
        max_message_bytes=settings.max_body_bytes,
        most_calls=_share_of_requests(settings),
        reuse_port=settings.workers > 1,
    )
    return take_grpc_port(settings, settings.grpc_port, start)


def _ready(server: Server, listener: socket.socket, grpc: GrpcServer | None) -> Ready:
    """Return where the server answers, and the first model that can be asked without more ado."""
    address = url_of(listener, "https" if server.tls else "http")
    grpc_address = authority_of(server.settings.host, grpc.port) if grpc else ""
    for model in server.engine.catalogue.models():
        # A model that is not available, or only has other signatures, is for those who know it.
        with contextlib.suppress(Refusal), server.engine.lease(ModelSpec(model.name)) as version:
            served = version.servable.signatures.get(SIGNATURE_NAME)
            if served is not None:
                return Ready(
                    address=address,
                    grpc_address=grpc_address,
                    model_name=version.name,
                    version=version.number,
                    signature=served.signature,
                )
    return Ready(address=address, grpc_address=grpc_address)


def _end_in_time() -> None:
    """End this process should its stop take too long; a thread that hangs would keep it alive."""
    timer = threading.Timer(PROCESS_S, os._exit, [1])
    timer.daemon = True
    timer.start()


def _set_soon(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stopped.set)


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Stop the server when stdin closes, as it does when the parent process ends, however it ends.

    A death signal (PR_SET_PDEATHSIG) would come as soon as the *thread* that started us ends.
    """
    while os.read(0, 1024):
        pass
    loop.call_soon_threadsafe(stopped.set)


if __name__ == "__main__":
    sys.exit(main())
