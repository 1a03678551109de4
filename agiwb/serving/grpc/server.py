"""Starting and stopping the gRPC server.

It is gRPC's synchronous one, on threads: for requests this small it answers twice as many as the
one for asyncio, and a model that takes long does not keep the event loop from HTTP.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from agiwb.errors import ServingError
from agiwb.serving.access.gate import Gate
from agiwb.serving.address import authority_of
from agiwb.serving.engine import Engine
from agiwb.serving.grpc import health, model_service, open_inference, prediction_service
from agiwb.serving.grpc.calls import Frame
from agiwb.serving.servables.model_changes import ModelChanges

MAX_MESSAGE_BYTES = 64 << 20
MOST_CALLS = 1024
"""Calls in progress or waiting for a thread; gRPC refuses more with RESOURCE_EXHAUSTED."""
_METADATA_BYTES = 16 << 10


class GrpcServer:
    """A server that listens.

    Attributes:
        port: Where; the one taken if 0 was asked for.
    """

    def __init__(self, server: grpc.Server, threads: ThreadPoolExecutor, port: int) -> None:
        """Keep what ``start_grpc`` started."""
        self._server = server
        self._threads = threads
        self.port = port

    def stop(self, grace: float = 0.0) -> None:
        """Take no more calls, and wait ``grace`` seconds at most for those in progress."""
        self._server.stop(grace).wait()
        self._threads.shutdown(wait=grace > 0, cancel_futures=True)


def start_grpc(
    engine: Engine,
    gate: Gate,
    host: str,
    port: int,
    *,
    threads: int = 4,
    credentials: grpc.ServerCredentials | None = None,
    changes: ModelChanges | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    most_calls: int = MOST_CALLS,
    reuse_port: bool = False,
) -> GrpcServer:
    """Return a server that answers on ``host`` and ``port``, with the engine's models.

    Args:
        engine: Predicts; the caller closes it, after the server has stopped.
        gate: Knows who may call.
        host: Name or address to listen on.
        port: 0 takes a free one.
        threads: Calls answered at once; as many share a batch at most.
        credentials: For TLS; None listens in the clear.
        changes: Replaces the list of models for clients with the scope `admin`; None for nobody.
        max_message_bytes: Longest request and response.
        most_calls: Calls in progress or waiting for a thread, beyond which more are refused.
        reuse_port: Whether other processes of this user may listen there, too, and get their part
            of the calls.

    Raises:
        ServingError: The address cannot be listened on.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
    server = grpc.server(
        pool,
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_metadata_size", _METADATA_BYTES),
            # Unasked, a second server would take half of the calls.
            ("grpc.so_reuseport", int(reuse_port)),
        ],
        maximum_concurrent_rpcs=most_calls,
    )
    frame = Frame(gate, engine.metrics)
    services = {
        prediction_service.SERVICE: prediction_service.PredictionService(engine).methods(),
        model_service.SERVICE: model_service.ModelService(engine, changes).methods(),
        open_inference.SERVICE: open_inference.OpenInference(engine).methods(),
        health.SERVICE: health.Health(engine).methods(),
    }
    server.add_generic_rpc_handlers([frame.service(*service) for service in services.items()])
    address = authority_of(host, port)
    try:
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        pool.shutdown()
        raise ServingError(
            f"gRPC cannot listen on {address}: {error}.", "Choose another port."
        ) from error
    server.start()
    return GrpcServer(server, pool, bound)
