"""Model families, one a file: small Keras 3 builders with their size as arguments."""
