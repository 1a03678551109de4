"""An executed notebook as one HTML file that needs nothing but a browser."""

from __future__ import annotations

import re
from pathlib import Path

# What only a live kernel or the network can show.
_LIVE_FORMS = ("application/vnd.jupyter.widget-view+json", "application/javascript")

_LOADED_SCRIPT = re.compile(r"<script\b[^>]*\bsrc=.*?</script\s*>", re.IGNORECASE | re.DOTALL)


def write_html(executed: Path, destination: Path, *, with_code: bool = True) -> None:
    """Write the notebook at ``executed`` as HTML that loads no script from anywhere.

    Widgets are dead without a kernel, and nbconvert would load their code from the network; some
    libraries (Apache Beam) print scripts that load more. Only what stands for itself is shown.
    """
    import nbformat
    from nbconvert.exporters import HTMLExporter

    from agiwb.runs.files import write_atomic

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for form in _LIVE_FORMS:
                output.get("data", {}).pop(form, None)
            if html := output.get("data", {}).get("text/html"):
                output["data"]["text/html"] = _LOADED_SCRIPT.sub("", html)
        if cell.cell_type == "code":
            cell["outputs"] = [o for o in cell.get("outputs", []) if o.get("data", True)]
    exporter = HTMLExporter(
        exclude_input=not with_code,
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
