"""``agiwb inspect``: what is in a model's file, and how two models differ."""

from __future__ import annotations

import math
from pathlib import Path

from agiwb.artifacts.manifest import FORMATS
from agiwb.errors import InputError
from agiwb.flags import Parser
from agiwb.inspection.difference import Difference, compare_models
from agiwb.inspection.inspect_model import inspect_model
from agiwb.inspection.inspection import Inspection, LayerSummary
from agiwb.inspection.named import path_of
from agiwb.runs.listing import aligned

_MOST_NAMED = 20
_LONGEST_NAME = 60


def run(words: list[str], summary: str) -> int:
    """Print the inspection of one model, or the difference of two."""
    parser = Parser(prog="agiwb inspect", description=summary)
    parser.add_argument("model", help="a model's file, an artifact's folder, or a model's name")
    parser.add_argument("other", nargs="?", help="the model to compare it with")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="which of a named model's artifacts; by default its Keras file, or what was imported",
    )
    parser.add_argument("--html", type=Path, help="write a page with pictures to this file")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    options = parser.parse_args(words)
    found: Inspection | Difference
    if options.other is None:
        found = inspect_model(path_of(options.model, options.format))
    else:
        other = path_of(options.other, options.format)
        found = compare_models(path_of(options.model, options.format), other)
    if options.html is not None:
        _write_page(found, options.html)
    if options.json:
        print(found.model_dump_json(indent=2))
    elif isinstance(found, Inspection):
        print("\n\n".join(_sections(found)))
    else:
        print("\n\n".join(_differences(found)))
    return 0


def _write_page(found: Inspection | Difference, path: Path) -> None:
    from agiwb.reporting.inspection import difference_page, inspection_page

    page = inspection_page(found) if isinstance(found, Inspection) else difference_page(found)
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise InputError(
            f"The page {path} cannot be written: {error.strerror}.", "Give another path."
        ) from None


def _sections(found: Inspection) -> list[str]:
    sparsity = "" if found.sparsity is None else f", {found.sparsity:.1%} of them zero"
    head = [
        ("format", found.format),
        ("size", f"{found.size_bytes:,} bytes"),
        ("sha256", found.sha256),
        ("weights", f"{found.parameters:,} numbers{sparsity}"),
        *((f"  {dtype}", f"{size:,} bytes") for dtype, size in found.bytes_by_dtype.items()),
        *(("input", str(spec)) for spec in found.signature.inputs),
        *(("output", str(spec)) for spec in found.signature.outputs),
        *found.details.items(),
        *(("not standard", name) for name in found.custom_operators),
    ]
    sections = [aligned(head)]
    if found.operators:
        rows = [(name, f"{count:,}") for name, count in found.operators.items()]
        sections.append(aligned([("operator", "count"), *rows]))
    if found.layers:
        names = ("layer", "operator", "numbers", "bytes", "zero", "stored as")
        sections.append(aligned([names, *map(_layer, found.layers)]))
    quantized = [one.quantization for one in found.tensors if one.quantization is not None]
    if quantized:
        scales = [
            (_short(one.name), one.dtype, f"{len(one.scales)}", f"{min(one.scales):.4g}",
             "" if one.axis is None else str(one.axis))
            for one in quantized
        ]  # fmt: skip
        sections.append(aligned([("quantised", "as", "scales", "smallest", "axis"), *scales]))
    return sections


def _short(name: str) -> str:
    """Return a name that leaves room beside it: converters join those of all that they fuse."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _layer(layer: LayerSummary) -> tuple[str, ...]:
    zero = "" if layer.sparsity is None else f"{layer.sparsity:.1%}"
    return (_short(layer.name), layer.operator, f"{layer.parameters:,}",
            f"{layer.size_bytes:,}", zero, ", ".join(layer.dtypes))  # fmt: skip


def _differences(found: Difference) -> list[str]:
    one, other = found.one, found.other
    sections = [
        aligned(
            [
                ("", one.path, other.path),
                ("format", one.format, other.format),
                ("bytes", f"{one.size_bytes:,}", f"{other.size_bytes:,}"),
                ("numbers", f"{one.parameters:,}", f"{other.parameters:,}"),
            ]
        )
    ]
    if found.is_empty:
        return [*sections, "Signature, operators and weights are the same."]
    if found.signature:
        sections.append("\n".join(found.signature))
    if found.operators:
        rows = [(name, str(a), str(b)) for name, (a, b) in found.operators.items()]
        sections.append(aligned([("operator", "first", "second"), *rows]))
    if found.layers:
        rows = [(name, f"{a:,}", f"{b:,}") for name, (a, b) in found.layers.items()]
        sections.append(aligned([("layer's bytes", "first", "second"), *rows]))
    if found.tensors:
        changes = [
            (one.name, "" if one.other_name == one.name else one.other_name,
             " -> ".join(dict.fromkeys(one.dtypes)), f"{one.changed:,}", f"{one.largest:.3g}",
             "" if one.relative is None or math.isnan(one.relative) else f"{one.relative:.3g}")
            for one in found.tensors
        ]  # fmt: skip
        names = ("tensor", "in the second", "stored as", "changed", "largest", "relative")
        sections.append(aligned([names, *changes]))
    for title, tensors in (("first", found.only_one), ("second", found.only_other)):
        if tensors:
            more = f" and {len(tensors) - _MOST_NAMED} more" if len(tensors) > _MOST_NAMED else ""
            named = ", ".join(tensors[:_MOST_NAMED])
            sections.append(f"Only in the {title}: {named}{more}.")
    sections.append(f"{found.unchanged} tensors are the same.")
    return sections
