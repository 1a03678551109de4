"""Where the nodes of a small graph are drawn: in layers, as Sugiyama et al. (1981) lay them out.

A node's layer is the longest way to it from a node without inputs. Within a layer nodes are
ordered by the mean place of their neighbours, to and fro, which leaves few edges crossing.
"""

from __future__ import annotations

from collections.abc import Sequence

from agiwb.inspection.inspection import GraphNode

_SWEEPS = 4


def layered(nodes: Sequence[GraphNode]) -> dict[str, tuple[float, int]]:
    """Return for each node its place across, centred on 0, and its layer, from 0 at the top."""
    inputs = _without_cycles(nodes)
    depth: dict[str, int] = {}
    for name in inputs:  # each comes after its inputs
        depth[name] = max((depth[one] + 1 for one in inputs[name]), default=0)
    rows: dict[int, list[str]] = {}
    for name, layer in depth.items():
        rows.setdefault(layer, []).append(name)
    outputs: dict[str, list[str]] = {name: [] for name in inputs}
    for name, taken in inputs.items():
        for one in taken:
            outputs[one].append(name)
    places: dict[str, float] = {}
    for row in rows.values():
        places |= _places(row)
    for sweep in range(_SWEEPS):
        neighbours = outputs if sweep % 2 else inputs
        for layer in sorted(rows, reverse=bool(sweep % 2)):
            rows[layer].sort(key=lambda name: _mean(places, neighbours[name], places[name]))
            places |= _places(rows[layer])
    return {name: (places[name], depth[name]) for name in depth}


def _places(row: Sequence[str]) -> dict[str, float]:
    return {name: index - (len(row) - 1) / 2 for index, name in enumerate(row)}


def _mean(places: dict[str, float], names: Sequence[str], own: float) -> float:
    return sum(places[name] for name in names) / len(names) if names else own


def _without_cycles(nodes: Sequence[GraphNode]) -> dict[str, list[str]]:
    """Return each node's inputs, nodes after their inputs; an edge that closes a loop is left out.

    Written without recursion: a chain may be as long as a model is deep.
    """
    by_name = {node.name: node for node in nodes}
    ordered: dict[str, list[str]] = {}
    begun: set[str] = set()
    for first in by_name:
        waiting = [first]
        while waiting:
            name = waiting[-1]
            if name in ordered:
                waiting.pop()
                continue
            begun.add(name)
            known = [one for one in by_name[name].inputs if one in by_name]
            if missing := [one for one in known if one not in begun]:
                waiting += missing[:1]
                continue
            ordered[name] = [one for one in known if one in ordered]
            waiting.pop()
    return ordered
