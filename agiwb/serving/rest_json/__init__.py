"""JSON on the wire: TensorFlow Serving's and the Open Inference Protocol's bodies, and tensors."""
