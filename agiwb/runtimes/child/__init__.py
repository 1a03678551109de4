"""A runtime in a process of its own, so that TensorFlow never enters the server's."""
