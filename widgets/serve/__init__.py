"""Serving on screen: servers that outlive the kernel, trying them, and trying other versions."""

from widgets.serve.panel import ServePanel

__all__ = ["ServePanel"]
