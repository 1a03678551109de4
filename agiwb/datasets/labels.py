"""Understanding labels: which task they pose, which classes there are, and which are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Task
from agiwb.errors import DatasetError, did_you_mean

FEW = 20
"""At most so many different whole numbers are classes, unless the user says otherwise."""

_NAMED_CLASSES = 12


@dataclass(frozen=True)
class Labels:
    """Labels as ``Split`` has them, with the task they pose and, in sentences, how that is known.

    ``classes`` is empty for regression and ranking.
    """

    values: NDArray[Any]
    classes: tuple[str, ...]
    task: Task
    notes: tuple[str, ...] = ()


def understand_labels(
    raw: NDArray[Any],
    *,
    task: Task | None,
    classes: tuple[str, ...],
    known: NDArray[np.bool_],
    place: Callable[[int], str],
    names: tuple[str, ...] = (),
    are_indices: bool = False,
) -> Labels:
    """Return ``raw`` as labels of ``task``, or of the task its values pose.

    Texts and few whole numbers are classes (two of them: binary), other numbers are regressed on,
    and columns of 0 and 1 are any number of classes at once.

    Args:
        raw: Labels as found, ``(examples,)`` or ``(examples, labels)``.
        task: What the user says is to be predicted.
        classes: The classes the user gives, in order.
        known: ``(examples,)``, True for the examples whose labels say which classes there are.
        place: Says where an example came from.
        names: Names of the columns, if there are several.
        are_indices: Whether whole numbers are indices of classes, counted from 0 without gaps.

    Raises:
        DatasetError: A label is missing, or is none of the classes, or no number; its place is
            named.
    """
    _refuse_missing(raw, place)
    chosen, notes = (task, ()) if task else _posed_task(raw, are_indices=are_indices)
    if chosen == "multilabel":
        return _multilabel(raw, classes or names, place, notes)
    if raw.ndim == 2 and chosen in CLASSIFYING:
        raw, are_indices, classes = _from_one_hot(raw, place), True, classes or names
    elif raw.ndim == 2:
        raise DatasetError(
            f"The task {chosen} takes one label an example, and there are {raw.shape[1]}.",
            "Give one label, or the task multilabel.",
        )
    if chosen not in CLASSIFYING:
        return Labels(_as_numbers(raw, place), (), chosen, notes)
    if are_indices and raw.dtype.kind in "iu":
        values, found = _indices(raw, classes, known, place)
    else:
        values, found = _classes(raw, classes, known, place)
    if len(found) < 2:
        raise DatasetError(
            f"All labels are `{found[0]}`, so there is nothing to tell apart.",
            "Add examples of another class, or name another label.",
        )
    if task == "binary" and len(found) != 2:
        raise DatasetError(
            f"The task binary has two classes, and here are {len(found)}: {_listed(found)}.",
            "Give the task classification.",
        )
    return Labels(values, found, task or ("binary" if len(found) == 2 else chosen), notes)


def _refuse_missing(raw: NDArray[Any], place: Callable[[int], str]) -> None:
    if raw.dtype.kind in "OUT":
        missing = raw == ""
    elif raw.dtype.kind == "f":
        missing = np.isnan(raw)
    else:
        return
    if missing.any():
        row = int(np.argwhere(missing)[0][0])
        raise DatasetError(
            f"In {place(row)}, the label is missing.", "Add it, or remove the example."
        )


def _posed_task(raw: NDArray[Any], *, are_indices: bool) -> tuple[Task, tuple[str, ...]]:
    """Return the task that the values pose, and how it is known where that may surprise."""
    if raw.ndim == 2:
        return "multilabel", ()
    if raw.dtype.kind not in "iuf" or (are_indices and raw.dtype.kind in "iu"):
        return "classification", ()
    values = np.unique(raw)
    if are_indices or not (values == np.round(values)).all():
        return "regression", ()
    if len(values) <= 2:
        return "classification", ()
    are_many = len(values) > FEW
    task: Task = "regression" if are_many else "classification"
    note = (
        f"The label has {len(values)} different whole numbers and is taken as "
        + ("a number to predict; " if are_many else "classes; ")
        + f"if that is wrong, give the task {'classification' if are_many else 'regression'}."
    )
    return task, (note,)


def _multilabel(
    raw: NDArray[Any],
    names: tuple[str, ...],
    place: Callable[[int], str],
    notes: tuple[str, ...],
) -> Labels:
    if raw.ndim != 2:
        raise DatasetError(
            "The task multilabel takes several columns of 0 and 1, and there is one label.",
            "Give several columns as the label.",
        )
    values = _as_numbers(raw, place)
    wrong = ~np.isin(values, (0, 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        label = names[column] if names else column
        raise DatasetError(
            f"In {place(int(row))}, the label `{label}` is {values[row, column]:g}.",
            "Labels of which several may hold at once are columns of 0 and 1.",
        )
    names = names or tuple(str(column) for column in range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise DatasetError(
            f"There are {values.shape[1]} columns of labels and {len(names)} names in `classes`.",
            "Name each column.",
        )
    if (values.sum(axis=1) == 1).all():
        note = (
            "Each example has exactly one label of its several; give the task classification if "
            "they exclude each other."
        )
        notes = (*notes, note)
    return Labels(values, names, "multilabel", notes)


def _from_one_hot(raw: NDArray[Any], place: Callable[[int], str]) -> NDArray[np.int64]:
    """Return the index of the one 1 in each row."""
    fits = np.isin(raw, (0, 1)).all(axis=1) & (raw.sum(axis=1) == 1)
    if not fits.all():
        row = int(np.argwhere(~fits)[0][0])
        raise DatasetError(
            f"In {place(row)}, the labels {raw[row].tolist()} are not one 1 among zeros.",
            "Give one label an example, or the task multilabel.",
        )
    index: NDArray[np.int64] = raw.argmax(axis=1).astype(np.int64)
    return index


def _as_numbers(raw: NDArray[Any], place: Callable[[int], str]) -> NDArray[np.float32]:
    if raw.dtype.kind in "OUT":
        for row, text in enumerate(raw.ravel()):
            if not _is_number(text):
                raise _not_a_number(place(row // (raw.size // len(raw))), text)
    values = raw.astype(np.float32)
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise DatasetError(
            f"In {place(row)}, the label is infinite or beyond 32 bits: {raw[row]}.",
            "Mend it, or remove the example.",
        )
    return values


def _indices(
    raw: NDArray[Any],
    given: tuple[str, ...],
    known: NDArray[np.bool_],
    place: Callable[[int], str],
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels that are indices already, and the names of the classes."""
    if raw.min() < 0:
        row = int(raw.argmin())
        raise DatasetError(
            f"In {place(row)}, the label is {raw[row]}.", "Number the classes from 0 without gaps."
        )
    highest = int(raw[known].max())
    if highest >= len(raw):
        raise DatasetError(
            f"In {place(int(raw.argmax()))}, a label is {highest}, which would make "
            f"{highest + 1} classes.",
            "Number the classes from 0 without gaps.",
        )
    classes = given or tuple(str(label) for label in range(highest + 1))
    wrong = np.flatnonzero(raw >= len(classes))
    if len(wrong):
        raise _not_a_class(place(int(wrong[0])), str(raw[wrong[0]]), classes)
    return raw.astype(np.int64), classes


def _classes(
    raw: NDArray[Any],
    given: tuple[str, ...],
    known: NDArray[np.bool_],
    place: Callable[[int], str],
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the index of each label among the classes, which are sorted unless given."""
    distinct, position = np.unique(raw, return_inverse=True)
    if not given and raw.dtype.kind in "OUT":
        _refuse_texts_that_are_no_classes(raw, distinct, place)
    classes = given or tuple(_name(value) for value in np.unique(raw[known]))
    index = {name: number for number, name in enumerate(classes)}
    values = np.array([index.get(_name(value), -1) for value in distinct])[position]
    wrong = np.flatnonzero(values < 0)
    if len(wrong):
        raise _not_a_class(place(int(wrong[0])), _name(raw[wrong[0]]), classes)
    return values.astype(np.int64), classes


def _refuse_texts_that_are_no_classes(
    raw: NDArray[Any], distinct: NDArray[Any], place: Callable[[int], str]
) -> None:
    """Raise DatasetError if nearly every example has a label of its own."""
    if len(distinct) <= FEW or len(distinct) * 2 <= len(raw):
        return
    numbers = np.array([_is_number(text) for text in distinct])
    if numbers.mean() > 0.5 and not numbers.all():
        stray = distinct[~numbers][0]
        raise _not_a_number(place(int(np.argwhere(raw == stray)[0][0])), stray)
    raise DatasetError(
        f"The label has {len(distinct)} different texts in {len(raw)} examples (the first, in "
        f"{place(0)}, is {str(raw[0])[:60]!r}): these are no classes.",
        "Name another column with `label`, or give the `classes`.",
    )


def _not_a_class(place: str, label: str, classes: tuple[str, ...]) -> DatasetError:
    return DatasetError(
        f"In {place}, the label `{label}` is none of the {len(classes)} classes "
        f"({_listed(classes)}).",
        f"{did_you_mean(label, classes) if len(classes) <= _NAMED_CLASSES else ''} Mend the label, "
        "or give all `classes`; without them they are those of the training examples.".strip(),
    )


def _not_a_number(place: str, text: str) -> DatasetError:
    return DatasetError(
        f"In {place}, the label is {str(text)[:60]!r}, which is not a number.",
        "Mend it, or remove the example.",
    )


def _name(value: Any) -> str:
    """Return the name of a class: whole numbers without a decimal point."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMED_CLASSES])
    return shown if len(names) <= _NAMED_CLASSES else f"{shown}, …"
