"""The architecture's text, deflated with a dictionary of what every Keras model repeats."""

from __future__ import annotations

import zlib

from agiwb.compression.packed.byte_reader import damaged

LONGEST_BYTES = 64 * 2**20
"""Of the text in UTF-8; no architecture comes near, and a small bomb could go far beyond."""

_RAW = -15
"""Deflate (RFC 1951) without zlib's header; the section has a checksum of its own."""

_DTYPE = (
    '"trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": '
    '{"name": "float32"}, "registered_name": null}, '
)
_LAYER = '"registered_name": null, "build_config": {"input_shape": [null, '
_START = '{"module": "keras.layers", "class_name": '
DICTIONARY = "".join(
    (
        '"name": "functional", "Functional", "input_layers": [["output_layers": [["inbound_',
        'nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"shape": [null, ',
        '"dtype": "float32", "keras_history": ["',
        f'{_START}"BatchNormalization", "config": {{"name": "batch_normalization", {_DTYPE}',
        '"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": true, "scale": true, ',
        '"beta_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": ',
        '{}, "gamma_initializer": {"class_name": "Ones", "moving_mean_initializer": ',
        '"moving_variance_initializer": "synchronized": false, "renorm": false',
        f'{_START}"MaxPooling2D", "config": {{"name": "max_pooling2d", "pool_size": [2, 2], ',
        f'{_START}"Dropout", "config": {{"name": "dropout", "rate": 0.5, "seed": null, ',
        f'{_START}"Conv2D", "config": {{"name": "conv2d", {_DTYPE}"filters": 32, "kernel_size": ',
        '[3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last", ',
        '"dilation_rate": [1, 1], "groups": 1, "activation": "linear", "use_bias": true, ',
        '{"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", ',
        f'{_DTYPE}"layers": [{_START}"InputLayer", "config": {{"batch_shape": [null, ',
        '"dtype": "float32", "sparse": false, "ragged": false, "name": "input_layer", ',
        f'"optional": false}}, "registered_name": null}}, {_START}"Flatten", "config": ',
        f'{{"name": "flatten", {_DTYPE}"data_format": "channels_last"}}, {_LAYER}28, 28]}}}}, ',
        f'{_START}"Dense", "config": {{"name": "dense_1", {_DTYPE}"units": 100, "activation": ',
        '"softmax", "relu", "use_bias": true, "kernel_initializer": {"module": ',
        '"keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null, ',
        '"input_axes": null, "output_axes": null}, "registered_name": null}, ',
        '"bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", ',
        '"config": {}, "registered_name": null}, "kernel_regularizer": null, ',
        '"bias_regularizer": null, "activity_regularizer": null, "kernel_constraint": null, ',
        f'"bias_constraint": null, "quantization_config": null}}, {_LAYER}100]}}}}], ',
        '"build_input_shape": [null, "registered_name": null, "build_config": {"input_shape": ',
        '[null, 28, 28]}, "compile_config": {}}',
    )
).encode()
"""Part of version 1 of the format: a reader needs the same bytes."""


def deflate(text: str) -> bytes:
    """Return ``text``, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW, 9, zdict=DICTIONARY)
    return packer.compress(text.encode()) + packer.flush()


def inflate(content: bytes | memoryview) -> str:
    """Return the text that ``deflate`` compressed.

    Raises:
        InputError: The bytes are no such text, or one that is longer than ``LONGEST_BYTES``.
    """
    unpacker = zlib.decompressobj(_RAW, zdict=DICTIONARY)
    try:
        text = unpacker.decompress(content, LONGEST_BYTES).decode()
    except (zlib.error, UnicodeDecodeError):
        raise damaged("its architecture cannot be decompressed") from None
    if not unpacker.eof or unpacker.unused_data:
        raise damaged("its architecture does not end where it should")
    return text
