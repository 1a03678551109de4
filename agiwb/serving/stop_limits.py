"""How long a server may take to stop: each wait has its place inside the one around it.

Whoever waits for a process must wait longer than that process waits for its requests, or it is
killed before it has written what it acknowledged.
"""

from __future__ import annotations

REQUESTS_S = 5.0
"""For requests that were taken, over HTTP and gRPC at the same time."""
MODELS_S = 3.0
"""For the models to be unloaded; by then nobody waits for an answer."""
PROCESS_S = REQUESTS_S + MODELS_S + 2.0
"""For the process that answers; after that it ends, also if a request hangs."""
WORKERS_S = PROCESS_S + 2.0
"""For a supervisor's workers, before they are killed."""
SERVER_S = WORKERS_S + 3.0
"""For a server, with workers or without, before who started it kills it."""
