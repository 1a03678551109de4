"""The messages of the serving wire, and what goes between them and NumPy."""
