"""Rollups: what the rows of any stretch of hours add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import NotFoundError, did_you_mean
from agiwb.monitoring.log.cells import figures_of
from agiwb.monitoring.log.profile import Profile
from agiwb.monitoring.sketches import BINS, CategoryCounts, NumericBins, NumericSketch


@dataclass(frozen=True)
class Rollups:
    """Cells of a log, and what their counts mean.

    Attributes:
        profile: The bins and the categories.
        cells: A ``pyarrow.Table`` as ``cells.cell_schema``, of one span, or of whole days and of
            the hours before and after them. A key may be there more than once, and then stands for
            the sum.
    """

    profile: Profile
    cells: Any

    @property
    def hours(self) -> NDArray[np.int64]:
        """Unix times at which the hours (and days, if so asked) begin that have rows, ascending."""
        return np.unique(self.cells["hour"].to_numpy())

    @property
    def rows(self) -> int:
        """Rows behind the cells: of the feature that has most."""
        if not len(self.cells):
            return 0
        per_feature = self.cells.group_by("feature").aggregate([("rows", "sum")])
        return int(max(per_feature["rows_sum"].to_pylist()))

    def totals(self) -> dict[str, dict[str, int]]:
        """Return by feature its ``rows``, and those missing, below, above and unseen."""
        names = ("rows", "missing", "below", "above", "unseen")
        table = self.cells.group_by("feature").aggregate([(name, "sum") for name in names])
        return {
            row["feature"]: {name: row[f"{name}_sum"] for name in names}
            for row in table.to_pylist()
        }

    def sketch(self) -> NumericSketch:
        """Return the sketch of all hours together, of the numeric features that were read."""
        import pyarrow.compute as pc

        chosen = self.cells.filter(pc.equal(self.cells["kind"], "numeric"))
        features = chosen["feature"].to_pylist()
        bins = self._bins(set(features))
        sketch = NumericSketch.empty(bins)
        if features:
            index = {name: place for place, name in enumerate(bins.names)}
            which = np.array([index[name] for name in features])
            order = np.argsort(which, kind="stable")
            present, starts = np.unique(which[order], return_index=True)
            for name, summed in (("counts", sketch.counts), ("sums", sketch.sums)):
                each = figures_of(chosen[name], name, BINS)[order]
                summed[present] = np.add.reduceat(each, starts, axis=0)
            missing = chosen["missing"].to_numpy()[order]
            sketch.missing[present] = np.add.reduceat(missing, starts)
        return sketch

    def by_hour(self) -> dict[int, Rollups]:
        """Return the same for each of ``hours``."""
        hours = self.cells["hour"].to_numpy()
        order = np.argsort(hours, kind="stable")
        found, starts = np.unique(hours[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        return {
            hour: Rollups(self.profile, self.cells.take(order[start:end]))
            for hour, start, end in zip(found.tolist(), starts.tolist(), ends.tolist(), strict=True)
        }

    def histogram(self, feature: str = "score") -> NDArray[np.int64]:
        """Return how many values of a numeric feature are in each bin: ``(hours, 256)``."""
        import pyarrow.compute as pc

        chosen = self.cells.filter(pc.equal(self.cells["feature"], feature))
        hours = self.hours
        counts = np.zeros((len(hours), BINS), np.int64)
        if len(chosen):
            places = np.searchsorted(hours, chosen["hour"].to_numpy())
            np.add.at(counts, places, figures_of(chosen["counts"], "counts", BINS))
        return counts

    def categories(self, feature: str) -> CategoryCounts:
        """Return how often each category of a feature was seen.

        Raises:
            NotFoundError: The profile has no such feature, or it is numeric.
        """
        import pyarrow.compute as pc

        known = self.profile.categories.get(feature)
        if known is None:
            raise NotFoundError(
                f"The rollups have no feature {feature!r} with categories.",
                did_you_mean(feature, self.profile.categories) if self.profile.categories else "",
            )
        chosen = self.cells.filter(pc.equal(self.cells["feature"], feature))
        return CategoryCounts(
            known,
            figures_of(chosen["counts"], "counts", len(known)).sum(axis=0, dtype=np.int64),
            unseen=int(chosen["unseen"].to_numpy().sum()),
            missing=int(chosen["missing"].to_numpy().sum()),
            examples=tuple({text: None for row in chosen["examples"].to_pylist() for text in row}),
        )

    def _bins(self, names: set[str]) -> NumericBins:
        bins = self.profile.bins
        kept = [place for place, name in enumerate(bins.names) if name in names]
        return NumericBins(tuple(bins.names[place] for place in kept), bins.edges[kept])
