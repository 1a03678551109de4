"""HTTP/1.1 for the server: as little as a prediction needs between the socket and the handler."""
