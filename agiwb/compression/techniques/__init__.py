"""Ways to make a Keras model smaller or faster, one a file."""
