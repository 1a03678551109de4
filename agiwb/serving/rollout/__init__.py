"""Bringing a new version of a model to its clients: shadow, canary, promote, roll back."""
