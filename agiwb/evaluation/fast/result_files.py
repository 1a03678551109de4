"""An evaluation in TFMA's own files, which ``tfma.load_eval_result`` opens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agiwb.evaluation.fast.engine import Evaluation


def write_tfma_files(found: Evaluation, folder: Path) -> None:
    """Write metrics, plots, the validation and the config; ``folder`` is made if it is not there.

    ``tfma.load_eval_result(str(folder))`` and ``tfma.load_validation_result(str(folder))`` open
    them, there or wherever the folder is moved.
    """
    from tensorflow_model_analysis.writers import eval_config_writer
    from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as home

    folder.mkdir(parents=True, exist_ok=True)
    metrics = (home.convert_slice_metrics_to_proto(entry, None) for entry in found.metrics.items())
    plots = (home.convert_slice_plots_to_proto(entry, None) for entry in found.plots.items())
    _write_records(folder / "metrics-00000-of-00001.tfrecord", metrics)
    _write_records(folder / "plots-00000-of-00001.tfrecord", plots)
    _write_records(folder / "validations.tfrecord", [found.validation])
    text = eval_config_writer._serialize_eval_run(  # noqa: SLF001
        found.eval_config, "<given columns>", "<unknown>", {"": "<unknown>"}
    )
    (folder / "eval_config.json").write_text(text, "utf-8")


def _write_records(path: Path, messages: Iterable[Any]) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for message in messages:
            writer.write(message.SerializeToString())
