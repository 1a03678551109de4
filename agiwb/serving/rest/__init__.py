"""The HTTP interfaces: TensorFlow Serving's, Open Inference v2, and the clouds'."""
