"""ONNX Runtime behind a socket and nothing else: what any server of one process cannot beat.

Of a request it reads the length and the rows, as float32; it answers with the probabilities, as
float32. It checks nothing, routes nothing, and keeps nothing.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

import numpy as np
import onnxruntime

FEATURES = 64
_LENGTH = b"content-length:"


def answer(session: onnxruntime.InferenceSession, body: bytes) -> bytes:
    """Return the whole response to a request's rows."""
    batch = np.frombuffer(body, np.float32).reshape(-1, FEATURES)
    data = session.run(None, {"features": batch})[0].tobytes()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def main() -> None:
    """Serve on the port given until terminated."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    received: dict[socket.socket, bytes] = {}
    while True:
        for key, _ in waiting.select():
            connection = key.fileobj
            if connection is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(client, selectors.EVENT_READ)
                received[client] = b""
                continue
            try:
                data = connection.recv(1 << 16)
            except ConnectionResetError:  # the load generator leaves as it likes
                data = b""
            if not data:
                waiting.unregister(connection)
                del received[connection]
                connection.close()
                continue
            whole = received[connection] + data
            head, end, body = whole.partition(b"\r\n\r\n")
            length = int(head.lower().partition(_LENGTH)[2].split(b"\r\n")[0]) if end else -1
            if end and len(body) >= length:
                connection.sendall(answer(session, body))
                whole = b""
            received[connection] = whole


if __name__ == "__main__":
    main()
