"""The trade-off of a sweep, to click on: what each candidate costs, and which would be chosen."""

from widgets.tradeoff.scatter import Scatter
from widgets.tradeoff.state import TradeoffState
from widgets.tradeoff.view import TradeoffView

__all__ = ["Scatter", "TradeoffState", "TradeoffView"]
