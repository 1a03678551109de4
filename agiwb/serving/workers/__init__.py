"""Several processes that answer on the same ports, and act as one server."""
