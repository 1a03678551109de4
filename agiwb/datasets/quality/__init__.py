"""What is odd about a data set: looked for before a model is trained on it."""
