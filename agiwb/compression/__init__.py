"""Compression: make a trained model smaller or faster, and weigh what that costs."""
