"""nbformat works as ever without what was left out, and others still find that."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from agiwb.batch.nbformat_quickly import import_nbformat
nbformat = import_nbformat()
assert "rfc3987_syntax" not in sys.modules
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
nbformat.validate(notebook)
notebook.cells[0].cell_type = "nonsense"
try:
    nbformat.validate(notebook)
except nbformat.ValidationError:
    print("refused")
try:
    import rfc3987_syntax
except ImportError as error:
    assert "halted" not in str(error), error
"""


def test_notebooks_are_validated_without_the_grammar() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
