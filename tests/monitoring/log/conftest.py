"""The prediction log's own writers, for tests of its readers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "serving" / "prediction_log"))
