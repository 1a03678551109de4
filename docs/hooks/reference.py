"""The hook of mkdocs that writes the reference while the site is built, so that it never lags."""

from __future__ import annotations

from commands import command_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from python_names import python_page
from steps import step_pages

from agiwb.runs.registry import STEPS


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation."""
    steps = [{name: f"reference/steps/{name}.md"} for name in STEPS]
    commands, python = {"Commands": "reference/commands.md"}, {"Python": "reference/python.md"}
    config.nav = [*(config.nav or []), {"Reference": [commands, {"Steps": steps}, python]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference."""
    pages = {"commands": command_page(), "python": python_page()}
    pages |= {f"steps/{name}": page for name, page in step_pages().items()}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files
