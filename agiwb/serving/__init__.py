"""Serving: an artifact behind TensorFlow Serving's REST API, on this machine."""
