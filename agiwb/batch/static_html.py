"""An executed notebook as one HTML file that needs nothing but a browser."""

from __future__ import annotations

from pathlib import Path

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def write_html(executed: Path, destination: Path) -> None:
    """Write the notebook at ``executed`` as HTML without a link to the outside world.

    Widgets are dead without a kernel, and nbconvert would load their code from the network: their
    static form (picture and table) is shown instead.
    """
    import nbformat
    from nbconvert.exporters import HTMLExporter

    from agiwb.runs.files import write_atomic

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET_VIEW, None)
    exporter = HTMLExporter(
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        jquery_url="",
    )
    body, _ = exporter.from_notebook_node(notebook)
    write_atomic(destination, body)
