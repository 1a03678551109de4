"""gRPC for the server: TensorFlow Serving's services, the Open Inference Protocol, health."""
