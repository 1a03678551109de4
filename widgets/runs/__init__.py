"""The history on screen: filtered, compared, traced, repeated and tidied."""

from widgets.runs.panel import RunsPanel

__all__ = ["RunsPanel"]
