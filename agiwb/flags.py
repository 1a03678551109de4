"""Flags from a config: one for each field, with its meaning, bounds and default."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from agiwb.config import Config, describe_field
from agiwb.errors import ConfigError, did_you_mean

C = TypeVar("C", bound=Config)


class Parser(argparse.ArgumentParser):
    """Argparse whose complaints are our errors."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError instead of ending the process."""
        raise ConfigError(f"{self.prog}: {message}.", f"`{self.prog} --help` lists the flags.")


def parser_for(command: str, summary: str, config_type: type[Config]) -> Parser:
    """Return a parser with ``--config FILE.yaml`` and a flag for each field of the config."""
    parser = Parser(
        prog=f"agiwb {command}",
        description=summary,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=32, width=100),
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="take fields from this file")
    for name, field in config_type.model_fields.items():
        flag = _flag_of(name)
        meaning = describe_field(field).replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(
                flag, dest=name, help=meaning, action=argparse.BooleanOptionalAction
            )
        else:
            takes_many = any(kind in str(field.annotation) for kind in ("tuple", "dict"))
            parser.add_argument(
                flag, dest=name, help=meaning, metavar="VALUE", nargs="+" if takes_many else None
            )
    return parser


def parse_flags(
    parser: Parser, config_type: type[C], words: Sequence[str]
) -> tuple[C, dict[str, Any]]:
    """Return the config that ``words`` describe, and the values of flags that are not its fields.

    Raises:
        ConfigError: A flag does not exist (the nearest is named), or a value does not fit.
    """
    known, unknown = parser.parse_known_args([_with_hyphens(word) for word in words])
    if unknown:
        hint = did_you_mean(unknown[0].partition("=")[0], map(_flag_of, config_type.model_fields))
        raise ConfigError(f"`{parser.prog}` does not take `{unknown[0]}`.", hint)
    values = vars(known)
    fields = {name: values.pop(name) for name in config_type.model_fields if name in values}
    path = values.pop("config", None)
    config = config_type.from_yaml(path, fields) if path else config_type.from_mapping(fields)
    return config, values


def _flag_of(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def notebook_words(words: Sequence[str]) -> list[str]:
    """Return papermill's notation, ``NOTEBOOK -p NAME VALUE …``, in the form of flags."""
    rest, flags, pairs = list(words), [], []
    if rest and not rest[0].startswith("-"):
        flags = ["--notebook", rest.pop(0)]
    while rest:
        word = rest.pop(0)
        if word != "-p":
            flags.append(word)
        elif len(rest) > 1:
            pairs.append(f"{rest.pop(0)}={rest.pop(0)}")
        else:
            raise ConfigError("`-p` needs a name and a value.", "For example: -p epochs 5")
    return [*flags, "--parameters", *pairs] if pairs else flags


def _with_hyphens(word: str) -> str:
    """Return a flag as shells spell it; TensorFlow Serving and Python spell with underscores."""
    flag, equals, value = word.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}" if flag.startswith("--") else word
