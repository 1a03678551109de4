"""Inspecting SavedModels and frozen graphs: their operators, before TensorFlow sees them.

Field numbers are those of TensorFlow's saved_model.proto, meta_graph.proto, saver.proto and
saved_object_graph.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agiwb.importing.limits import LARGEST_GRAPH
from agiwb.importing.protobuf_fields import MalformedError, entries, submessages, text, texts
from agiwb.importing.refusal import refused
from agiwb.importing.report import Contents, said_writer
from agiwb.importing.tensorflow_graph import Graph, forbidden, foreign_file, reached, read_graph
from agiwb.importing.tensorflow_operators import CHECKPOINT


def inspect_saved_model(folder: Path) -> Contents:
    """Return what the SavedModel in ``folder`` holds.

    Raises:
        InputError: It is damaged, or its operators reach outside the model.
    """
    path = folder / "saved_model.pb"
    contents = Contents()
    with mapped(path) as content:
        try:
            graphs = list(submessages(content, 2))
            if not graphs:
                raise MalformedError("it holds no graph")  # noqa: TRY301  told as all others are
            for graph in graphs:
                contents = contents.joined(_inspect_meta_graph(graph, path))
        except MalformedError as error:
            raise refused(path, str(error)) from None
    return contents


def inspect_frozen_graph(path: Path) -> Contents:
    """Return what the frozen graph in the file ``path`` holds.

    Raises:
        InputError: It is damaged, or its operators reach outside the model.
    """
    with mapped(path) as content:
        try:
            graph = read_graph(content)
            if not graph.nodes:
                raise MalformedError("it holds no graph")  # noqa: TRY301  told as all others are
            problem = forbidden(graph) or foreign_file(graph, ())
        except MalformedError as error:
            raise refused(path, str(error)) from None
    found = graph.operators()
    if problem or (saved := sorted(CHECKPOINT & found.keys())):
        raise refused(path, problem or f"a frozen graph has no use for {saved[0]}")
    return Contents(operators=dict(found))


def _inspect_meta_graph(meta: memoryview, path: Path) -> Contents:
    graph = read_graph(memoryview(b"".join(submessages(meta, 2))))
    assets = []
    for asset in submessages(meta, 6):
        name = text(asset, 2)
        if not name or name.startswith("/") or ".." in Path(name).parts or "\\" in name:
            raise refused(path, f"its asset {name[:60]!r} lies outside its folder")
        assets += [text(info, 1).partition(":")[0] for info in submessages(asset, 1)]
    problem = forbidden(graph) or foreign_file(graph, assets) or _stray_checkpoint(meta, graph)
    if problem:
        raise refused(path, problem)
    written_by: dict[str, str] = {}
    for info in submessages(meta, 1):
        written_by |= said_writer("tensorflow", text(info, 5))
    return Contents(operators=dict(graph.operators()), written_by=written_by)


def _stray_checkpoint(meta: memoryview, graph: Graph) -> str | None:
    """Return what is wrong if a signature or an initializer comes to checkpoints, or None.

    The operators that save and restore are in every SavedModel. Only its saver may reach them.
    """
    roots = [
        text(info, 1)
        for _, signature in entries(meta, 5)
        for part in (1, 2)
        for _, info in entries(signature, part)
    ]
    for _, collection in entries(meta, 4):
        for nodes in submessages(collection, 1):
            roots += texts(nodes, 1)
    functions = [name for objects in submessages(meta, 7) for name, _ in entries(objects, 2)]
    if stray := sorted(CHECKPOINT & reached(graph, roots, functions)):
        return f"its signatures or functions come to {stray[0]}, which is for checkpoints only"
    restored = [text(saver, 3) for saver in submessages(meta, 3)]
    writes = {"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"}
    if stray := sorted(writes & reached(graph, restored)):
        return f"restoring its variables would come to {stray[0]}, which writes"
    return None


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file without reading them all.

    Raises:
        InputError: The file is empty, or larger than protobuf allows.
    """
    size = path.stat().st_size
    if not 0 < size <= LARGEST_GRAPH:
        raise refused(path, "it is empty" if not size else f"it has {size:,} bytes")
    with path.open("rb") as stream:
        # Not a mapping of the file: views of it may outlive this block in a traceback.
        content = memoryview(stream.read()) if size < _READ_WHOLE else _map(stream.fileno())
    yield content


_READ_WHOLE = 64 * 2**20


def _map(number: int) -> memoryview:
    return memoryview(mmap.mmap(number, 0, access=mmap.ACCESS_READ))
