"""Conversion: a Keras model in each deployable format, one format a file, checked for parity."""
