"""Keeping a served model good: champion and challenger, the gate between them, and retraining."""
