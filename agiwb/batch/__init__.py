"""Batch work: notebooks run with checked parameters, and the whole life cycle in one command."""
