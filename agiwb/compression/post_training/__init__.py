"""Quantization after training, for each of the runtimes."""
