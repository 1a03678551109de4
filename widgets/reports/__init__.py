"""The reports: what a workspace holds, for people who read and choose but never run code.

Each is a state that is told what to show, and a view of it. A viewer's browser may send any value
for any control, so that a state takes each as text from a stranger: it is looked up among what is
offered, or parsed, and never becomes a path, a query or code.
"""

from __future__ import annotations
