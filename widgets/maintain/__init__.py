"""Maintenance on screen: who answers, whether another may, and who decided so."""

from widgets.maintain.panel import MaintainPanel

__all__ = ["MaintainPanel"]
