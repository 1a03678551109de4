"""Skew of the input: features that do not look like those a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.training.diagnosis.finding import Curve, Evidence, Finding, Severity

_MOST_COLUMNS = 200  # of an array whose columns are compared one by one
_QUANTILES = np.linspace(0, 1, 21)
_FACTORS = (255.0, 256.0, 65535.0, 16.0, 100.0, 1000.0, 60.0, 3600.0, 180 / np.pi, 12.0)
"""Largest pixel values, percent, milli, minutes and seconds, degrees, months."""
_FACTOR_TOLERANCE = 0.15
_LEAST_FACTOR = 5.0
_LEAST_VALUES = 10
_OUTSIDE_MARGIN = 0.1
_OUTSIDE_SHARE = 0.05
_MISSING_RISE = 0.05
_UNSEEN_SHARE = 0.01
_GRAVE_SHARE = 0.2
_FREE_TEXT = 0.5
_SHOWN_CATEGORIES = 8


def check_input_skew(
    reference: Any, given: Any, names: tuple[str, str] = ("reference", "given data")
) -> tuple[Finding, ...]:
    """Return how ``given`` differs from ``reference`` in ways that a model cannot know of.

    Compared are shape and columns, numbers against text, missing values, scale (a forgotten
    division by 255), range, and categories. Small drifts of a distribution are not found here, but
    by ``agiwb monitor``.

    Args:
        reference: Features that the model was trained on: an array ``(examples, ...)`` of numbers
            or texts, a structured array, a mapping from column to values, or a pandas DataFrame.
        given: Features that it is to answer to, of the same form.
        names: What the two are called in the findings.
    """
    first, second = _columns(reference), _columns(given)
    findings = _shape_findings(reference, given, names)
    if missing := [name for name in first if name not in second]:
        findings.append(
            _finding(
                "problem",
                f"The {names[1]} lack the columns {_listed(missing)}, which the {names[0]} have.",
                Evidence(y_label="columns", bars={names[0]: len(first), names[1]: len(second)}),
                "Give every column under the name it was trained with.",
            )
        )
    if extra := [name for name in second if name not in first]:
        findings.append(
            _finding(
                "hint",
                f"The {names[1]} have the columns {_listed(extra)}, which the {names[0]} lack.",
                Evidence(y_label="columns", bars={names[0]: len(first), names[1]: len(second)}),
                "Check that no column was renamed; what a model was not trained on is not read.",
            )
        )
    for name, known in first.items():
        if name in second and len(known) and len(second[name]):
            findings += _compare(name, known, second[name], names)
    return tuple(findings)


def _compare(
    name: str, known: NDArray[Any], found: NDArray[Any], names: tuple[str, str]
) -> list[Finding]:
    numeric = _is_numeric(known), _is_numeric(found)
    if numeric[0] != numeric[1]:
        kinds = ["numbers" if is_number else "text" for is_number in numeric]
        what = f"{name} holds {kinds[0]} in the {names[0]} and {kinds[1]} in the {names[1]}."
        return [
            _finding(
                "problem",
                f"{what[0].upper()}{what[1:]}",
                Evidence(
                    y_label="distinct values",
                    bars={
                        names[0]: len(set(known.tolist())),
                        names[1]: len(set(found.tolist())),
                    },
                ),
                f"Convert {name} to {kinds[0]}.",
            )
        ]
    if not numeric[0]:
        return _compare_categories(name, known.astype(str), found.astype(str), names)
    return _compare_numbers(name, known.astype(np.float64), found.astype(np.float64), names)


def _compare_numbers(
    name: str, known: NDArray[np.float64], found: NDArray[np.float64], names: tuple[str, str]
) -> list[Finding]:
    findings = _missing(
        name, float((~np.isfinite(known)).mean()), float((~np.isfinite(found)).mean()), names
    )
    known, found = known[np.isfinite(known)], found[np.isfinite(found)]
    if not len(known) or not len(found):
        return findings
    evidence = Evidence(
        x_label="share of the values below",
        y_label=name,
        curves=(_quantile_curve(names[0], known), _quantile_curve(names[1], found)),
    )
    scale = _scale_words(known, found, names)
    if scale:
        what, advice = scale
        findings.append(_finding("problem", f"{name}: {what}", evidence, advice))
        return findings
    low, high = float(known.min()), float(known.max())
    margin = _OUTSIDE_MARGIN * (high - low)
    outside = float(((found < low - margin) | (found > high + margin)).mean())
    if outside > _OUTSIDE_SHARE:
        findings.append(
            _finding(
                "problem" if outside > _GRAVE_SHARE else "hint",
                f"{name}: {outside:.1%} of the values in the {names[1]} lie well outside "
                f"{low:.4g} to {high:.4g}, the range in the {names[0]}; they go from "
                f"{found.min():.4g} to {found.max():.4g}.",
                evidence,
                "Check the unit of this feature, and how it is prepared.",
            )
        )
    return findings


def _scale_words(
    known: NDArray[np.float64], found: NDArray[np.float64], names: tuple[str, str]
) -> tuple[str, str] | None:
    """Return what the scale tells and what to do, if the two scales clearly differ."""
    if min(len(known), len(found)) < _LEAST_VALUES:
        return None
    spread, other = _spread(known), _spread(found)
    if not spread or not other:
        return None
    ratio = other / spread
    if max(ratio, 1 / ratio) < _LEAST_FACTOR:
        return None
    ranges = (
        f"the {names[1]} go from {found.min():.4g} to {found.max():.4g}, and the {names[0]} from "
        f"{known.min():.4g} to {known.max():.4g}"
    )
    if abs(found.mean()) < 0.2 and 0.8 < found.std() < 1.2:
        return (
            f"{ranges}: they seem to have been standardised.",
            "Give the raw values; the model standardises them itself if it needs to.",
        )
    if found_factor := _known_factor(ratio, ranges):
        return found_factor
    return (
        f"{ranges}: their spread is {ratio:.3g} times as large.",
        "Check the unit of this feature, and how it is prepared.",
    )


def _known_factor(ratio: float, ranges: str) -> tuple[str, str] | None:
    """Return what to say if the scales differ by a factor that is often forgotten."""
    for factor in _FACTORS:
        if abs(ratio * factor - 1) < _FACTOR_TOLERANCE:
            return (
                f"{ranges}: they seem to have been divided by {factor:.4g}.",
                f"Multiply by {factor:.4g}, or leave the division out.",
            )
        if abs(ratio / factor - 1) < _FACTOR_TOLERANCE:
            return (
                f"{ranges}: a division by {factor:.4g} seems to have been forgotten.",
                f"Divide by {factor:.4g}, as for training.",
            )
    return None


def _compare_categories(
    name: str, known: NDArray[Any], found: NDArray[Any], names: tuple[str, str]
) -> list[Finding]:
    findings = _missing(name, float((known == "").mean()), float((found == "").mean()), names)
    categories = set(known.tolist())
    if len(categories) > _FREE_TEXT * len(known):
        return findings
    unseen, counts = np.unique(found, return_counts=True)
    new = {
        str(value): int(count)
        for value, count in zip(unseen, counts, strict=True)
        if str(value) not in categories and value != ""
    }
    share = sum(new.values()) / len(found)
    if share > _UNSEEN_SHARE:
        most = sorted(new, key=lambda value: -new[value])[:_SHOWN_CATEGORIES]
        findings.append(
            _finding(
                "problem" if share > _GRAVE_SHARE else "hint",
                f"{name}: {share:.1%} of the rows of the {names[1]} have one of {len(new)} "
                f"categories that the {names[0]} do not have, such as {_listed(most[:3])}.",
                Evidence(
                    x_label=f"unseen category of {name}",
                    y_label=f"rows of the {names[1]}",
                    bars={value: new[value] for value in most},
                ),
                "Check the spelling; a model treats all unknown categories alike.",
            )
        )
    return findings


def _missing(name: str, known: float, found: float, names: tuple[str, str]) -> list[Finding]:
    if found - known <= _MISSING_RISE and not (known == 0 and found > 0):
        return []
    return [
        _finding(
            "problem" if found - known > _GRAVE_SHARE else "hint",
            f"{name} is missing in {found:.1%} of the {names[1]}, and in {known:.1%} of the "
            f"{names[0]}.",
            Evidence(
                y_label=f"share of missing values of {name}",
                bars={names[0]: known, names[1]: found},
            ),
            "Fill the gaps, or train on data that have them.",
        )
    ]


def _shape_findings(reference: Any, given: Any, names: tuple[str, str]) -> list[Finding]:
    if not isinstance(reference, np.ndarray) or not isinstance(given, np.ndarray):
        return []
    known, found = reference.shape[1:], given.shape[1:]
    if known == found:
        return []
    sizes = {names[0]: float(np.prod(known)), names[1]: float(np.prod(found))}
    return [
        _finding(
            "problem",
            f"An example has shape {found} in the {names[1]}, and {known} in the {names[0]}.",
            Evidence(y_label="values of an example", bars=sizes),
            f"Bring the examples to shape {known}.",
        )
    ]


def _columns(features: Any) -> dict[str, NDArray[Any]]:
    """Return the values of each column; of images and the like, all values as one."""
    if isinstance(features, Mapping):
        return {str(name): np.asarray(values) for name, values in features.items()}
    if hasattr(features, "columns"):  # a DataFrame
        return {str(name): features[name].to_numpy() for name in features.columns}
    array = np.asarray(features)
    if names := array.dtype.names:
        return {name: array[name] for name in names}
    if array.ndim == 2 and array.shape[1] <= _MOST_COLUMNS:
        return {f"feature {index}": array[:, index] for index in range(array.shape[1])}
    return {"the value": array.ravel()}


def _is_numeric(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "fiub"


def _spread(values: NDArray[np.float64]) -> float:
    """Return the width of the middle 98 %, or of all if that is nothing."""
    low, high = np.quantile(values, (0.01, 0.99))
    return float(high - low) or float(values.max() - values.min())


def _quantile_curve(name: str, values: NDArray[np.float64]) -> Curve:
    quantiles = np.quantile(values, _QUANTILES)
    return Curve(name=name, x=tuple(map(float, _QUANTILES)), y=tuple(map(float, quantiles)))


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_CATEGORIES])
    return f"{shown} and {len(names) - 8} more" if len(names) > _SHOWN_CATEGORIES else shown


def _finding(severity: Severity, what: str, evidence: Evidence, advice: str) -> Finding:
    return Finding(
        rule="input_skew",
        severity=severity,
        what=f"{what[0].upper()}{what[1:]}",
        evidence=evidence,
        advice=advice,
    )
