"""Evaluation: how good a model is, overall and on every slice, and whether that is enough."""
