"""Searching for a model's best settings: many trials around one config, driven by Optuna."""
