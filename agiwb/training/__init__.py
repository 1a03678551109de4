"""Training: from a data set to a registered Keras model."""
