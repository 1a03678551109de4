"""Importing: a model made elsewhere, inspected before any library loads it."""
