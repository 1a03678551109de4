"""Runs: a step carried out once, its record, and the store that keeps it."""
