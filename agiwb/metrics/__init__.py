"""Figures for what a loss does not show: written text, and the order of recommendations."""
