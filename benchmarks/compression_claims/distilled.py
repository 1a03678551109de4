"""How much of the gap to its teacher a distilled student closes.

Hinton, Vinyals & Dean 2015 (arXiv:1503.02531), section 3: on MNIST a teacher of two layers of 1,200
units with dropout and shifted images made 67 errors, a student of two layers of 800 units without
any of these 146 alone and 74 with soft targets at T = 20: 91 % of the gap. With all 60,000 images
the student learned that from the plain ones. Of a few thousand images it sees shifted ones too, of
which it is told what the teacher makes of them, and at no time a label (``alpha = 0``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compression_claims.claims import Claim, at_least, spread
from compression_claims.workspaces import own_workspace, swept, trained

LEAST_CLOSED = 0.8
TEACHER_UNITS, STUDENT_PERCENT = 1200, 67
STUDENT_UNITS = round(TEACHER_UNITS * STUDENT_PERCENT / 100)
JITTER, VIEWS = 2, 8
TEACHER_EPOCHS, STUDENT_EPOCHS, ALONE_EPOCHS = 5, 60, 20
BATCH = 100


def distillation(dataset: str, seeds: Sequence[int]) -> list[Claim]:
    """Return the claim that students close most of the gap, mean over ``seeds``.

    Teacher, student and student alone have the same seed; errors are counted on the test split.
    """
    closed = [_closed(dataset, seed) for seed in seeds]
    mean, low, high = spread([share for share, _ in closed])
    teacher, alone, student = (sum(errors[place] for _, errors in closed) for place in range(3))
    print(
        f"distillation   {len(seeds)} seeds: errors of teacher {teacher}, student alone {alone}, "
        f"distilled {student}; gap closed {mean:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
    name = f"distillation: gap closed, {len(seeds)} seeds together"
    return [at_least(name, (alone - student) / (alone - teacher), LEAST_CLOSED)]


def _closed(dataset: str, seed: int) -> tuple[float, tuple[int, int, int]]:
    """Return the share of the gap that is closed, and the errors of teacher, alone, distilled."""
    with own_workspace() as folder:
        shape = {"architecture": "mlp", "layers": 2, "batch_size": BATCH, "seed": seed}
        schedule = {"schedule": "cosine", "learning_rate": 0.001}
        teacher = trained(
            dataset=str(_shifted_copies(dataset, folder / "shifted.npz", seed)),
            units=TEACHER_UNITS, dropout=0.5, epochs=TEACHER_EPOCHS, **shape, **schedule,
        )  # fmt: skip
        alone = trained(
            dataset=dataset, units=STUDENT_UNITS, dropout=0, epochs=ALONE_EPOCHS,
            **shape, **schedule,
        )  # fmt: skip
        recipe = (
            f"distil_{STUDENT_PERCENT}:temperature=20.0:alpha=0.0:jitter={JITTER}"
            f":epochs={STUDENT_EPOCHS}:learning_rate=0.001"
        )
        record = swept(teacher, dataset=dataset, recipes=(recipe,), batch_size=BATCH, seed=seed)
        student = next(each for each in record.candidates if each.name != "baseline")
        if student.measured is None:
            raise RuntimeError(f"{student.name}: {student.reason}")
        examples = record.test_examples
        errors = (
            round((1 - record.candidate("baseline").measured.test_accuracy) * examples),
            round((1 - alone.metrics["test_accuracy"]) * examples),
            round((1 - student.measured.test_accuracy) * examples),
        )
        share = (errors[1] - errors[2]) / (errors[1] - errors[0])
        print(
            f"distillation   seed {seed}  errors of {examples}: teacher {errors[0]}, "
            f"student alone {errors[1]}, distilled {errors[2]}; gap closed {share:.0%}",
            flush=True,
        )
        return share, errors


def _shifted_copies(dataset: str, path: Path, seed: int) -> Path:
    """Write the data set with each training image in several places, and return the file."""
    import numpy as np

    from agiwb import load_dataset
    from agiwb.compression.techniques.jitter import shifted

    data, random = load_dataset(dataset), np.random.default_rng(seed)
    images = data.train.features
    views = [images, *(shifted(images, JITTER, random) for _ in range(VIEWS - 1))]
    np.savez(
        path,
        x_train=np.concatenate(views), y_train=np.tile(data.train.labels, VIEWS),
        x_validation=data.validation.features, y_validation=data.validation.labels,
        x_test=data.test.features, y_test=data.test.labels,
    )  # fmt: skip
    return path
