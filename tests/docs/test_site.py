"""The site is built strictly, and its reference holds what the code has."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import agiwb
from agiwb.cli import COMMAND_ORDER
from agiwb.runs.registry import STEPS, load_step

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


@pytest.mark.parametrize("name", STEPS)
def test_a_steps_page_has_each_field_with_its_flag(site: Path, name: str) -> None:
    page = (site / "reference" / "steps" / f"{name}.html").read_text("utf-8")
    for field in load_step(name).config_type.model_fields:
        assert f"<code>{field}</code>" in page
        assert f"<code>--{field.replace('_', '-')}</code>" in page


def test_every_command_and_public_name_is_there(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text("utf-8")
    for command in COMMAND_ORDER:
        assert f'<h2 id="{command}">' in commands
        assert f"usage: agiwb {command}" in commands
    python = (site / "reference" / "python.html").read_text("utf-8")
    for name in set(agiwb.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", python), name


def test_the_site_names_no_machine_and_asks_no_other(site: Path) -> None:
    person = f"{getpass.getuser()}@{socket.gethostname()}"
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"?(https?:)?//|<link[^>]+stylesheet[^>]+//"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(STEPS)
    for page in pages:
        text = page.read_text("utf-8")
        assert str(ROOT) not in text, page
        assert person not in text, page
        assert not re.search(r"0x[0-9a-f]{8}", text), page  # where an object lies in memory
        assert not loaded.search(text), page
