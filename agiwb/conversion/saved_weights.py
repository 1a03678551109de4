"""The variables of a SavedModel, read one at a time: most of a conversion needs only their shapes.

A SavedModel that is loaded holds all of its weights; one that is loaded without its checkpoint
holds none, and its checkpoint gives them singly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.inspection.readers.checkpoint import Checkpoint
from agiwb.tensorflow_quietly import import_tensorflow

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""Under this key a checkpoint of TensorFlow 2 says which object each of its tensors belongs to."""
_VALUE = "VARIABLE_VALUE"
_FILLED_FROM_CHECKPOINTS = b"MutableHashTable"
_STRING = 7
"""TensorFlow's number of the type."""


class SavedWeights:
    """A loaded SavedModel and its weights, which are in memory only if there is no other way.

    That is so for files of TensorFlow 1, whose checkpoints know no objects, for tables that are
    filled from the checkpoint, and for variables that are texts or lie in several pieces. The
    others are read without TensorFlow, which keeps for itself what memory it has ever taken.

    Attributes:
        loaded: What ``tf.saved_model.load`` returns; its variables may have no values.
    """

    def __init__(self, folder: Path) -> None:
        """Load the graph that is made for serving."""
        tf = import_tensorflow()
        content = (folder / "saved_model.pb").read_bytes()
        whole = _FILLED_FROM_CHECKPOINTS in content
        self._checkpoint = None if whole else _plain(folder / "variables" / "variables")
        self.loaded = self._load(tf, folder)
        self._keys = {} if self._checkpoint is None else self._found(tf, self._checkpoint)
        functions = self.loaded.signatures.values()
        used = {id(variable.handle) for function in functions for variable in function.variables}
        if self._checkpoint is not None and not used <= self._keys.keys():
            self._checkpoint = None
            self.loaded = self._load(tf, folder)

    def _load(self, tf: Any, folder: Path) -> Any:
        options = tf.saved_model.LoadOptions(
            experimental_skip_checkpoint=self._checkpoint is not None
        )
        return tf.saved_model.load(str(folder), tags=["serve"], options=options)

    def read(self, variable: Any) -> NDArray[Any]:
        """Return the value of one of the loaded variables."""
        if self._checkpoint is None:
            return np.asarray(variable.numpy())
        key = self._keys[id(variable.handle)]
        return self._checkpoint.values(key, np.dtype(variable.dtype.as_numpy_dtype))

    def _found(self, tf: Any, checkpoint: Checkpoint) -> dict[int, str]:
        """Return the checkpoint's keys by the identity of the variables' handles.

        The loaded objects and those of the checkpoint are walked side by side, from the root along
        the names of their children, as TensorFlow does itself to restore them.
        """
        from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

        nodes = TrackableObjectGraph.FromString(checkpoint.text(_OBJECTS)).nodes
        keys: dict[int, str] = {}
        waiting, seen = [(self.loaded, 0)], {0}
        while waiting:
            thing, place = waiting.pop()
            for attribute in nodes[place].attributes:
                if attribute.name == _VALUE and hasattr(thing, "handle"):
                    keys[id(thing.handle)] = attribute.checkpoint_key
            children = tf.train.TrackableView.children(thing)
            for child in nodes[place].children:
                if child.node_id not in seen and child.local_name in children:
                    seen.add(child.node_id)
                    waiting.append((children[child.local_name], child.node_id))
        return keys


def _plain(prefix: Path) -> Checkpoint | None:
    """Return the checkpoint if each of its variables lies in one piece and belongs to an object."""
    try:
        checkpoint = Checkpoint(prefix)
    except (OSError, ValueError):
        return None
    variables = [entry for name, entry in checkpoint.entries.items() if name != _OBJECTS]
    if _OBJECTS not in checkpoint.entries:
        return None
    in_pieces = any(entry.size_bytes == 0 and 0 not in entry.shape for entry in variables)
    texts = any(entry.dtype == _STRING for entry in variables)
    return None if in_pieces or texts else checkpoint
