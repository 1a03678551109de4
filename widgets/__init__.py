"""The panels: views of what agiwb computes. Nothing here computes."""

from widgets.model_card import ModelCard

__all__ = ["ModelCard"]
