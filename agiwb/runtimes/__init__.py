"""Runtimes: run an artifact, one format a file."""
