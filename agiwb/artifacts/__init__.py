"""Artifacts: a model in one deployable format, with its signature and its digest."""
