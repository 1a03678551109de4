"""TensorFlow's operators that tf2onnx does not know, said in ONNX' own."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


@functools.cache
def register_operators() -> None:
    """Let tf2onnx translate them from now on.

    ``Erfc``, of which TensorFlow makes GELU, is ``1 - Erf``. For a large ``x`` it loses digits that
    GELU multiplies by next to nothing.
    """
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_kwargs: Any) -> None:
            dtype, shape = ctx.get_dtype(node.output[0]), ctx.get_shape(node.output[0])
            one = ctx.make_const(
                utils.make_name(node.name), np.ones((), utils.map_onnx_to_numpy_type(dtype))
            )
            erf = ctx.make_node("Erf", node.input, shapes=[shape], dtypes=[dtype])
            ctx.remove_node(node.name)
            ctx.make_node(
                "Sub",
                [one.output[0], erf.output[0]],
                name=node.name,
                outputs=node.output,
                shapes=[shape],
                dtypes=[dtype],
            )

    tf_op("Erfc")(Erfc)
