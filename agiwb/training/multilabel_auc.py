"""The mean area under the ROC curves of labels that occur, as a Keras metric."""

from __future__ import annotations

from typing import Any


def multilabel_auc(name: str) -> Any:
    """Return a metric like ``keras.metrics.AUC(multi_label=True)`` for labels 0 and 1.

    Keras counts a label that never occurs as one of area 0; here it is left out, as are those that
    always occur, for without both there is no curve. Without any label left the area is 0.
    """
    import keras

    ops = keras.ops

    class MeanOfKnownCurves(keras.metrics.AUC):  # type: ignore[misc]  # keras is untyped
        def result(self) -> Any:
            # Each of shape (thresholds, labels), the lowest threshold first.
            positives = self.true_positives + self.false_negatives
            negatives = self.false_positives + self.true_negatives
            hits = ops.divide_no_nan(self.true_positives, positives)
            alarms = ops.divide_no_nan(self.false_positives, negatives)
            strips = (alarms[:-1] - alarms[1:]) * (hits[:-1] + hits[1:]) / 2
            is_known = ops.cast((positives[0] > 0) & (negatives[0] > 0), strips.dtype)
            areas = ops.sum(strips, axis=0)
            return ops.divide_no_nan(ops.sum(areas * is_known), ops.sum(is_known))

    return MeanOfKnownCurves(name=name, multi_label=True)
