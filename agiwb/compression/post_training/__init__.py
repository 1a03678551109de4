"""Quantization after training, for each of the runtimes.

Keras' own ``quantize("int8")`` is not among the ways: it knows no convolutions, LiteRT refuses what
it exports, and in ONNX it makes Dense layers as small as ``onnx_dynamic`` does.
"""
