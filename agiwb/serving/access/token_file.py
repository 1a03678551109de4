"""The YAML file that says which JSON Web Tokens are believed."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from agiwb.config import Config
from agiwb.serving.access.tokens import TokenRules


class TokenFile(Config):
    """What a ``--jwt_file`` holds; see TokenRules."""

    issuer: str = Field(description="The tokens' `iss`.")
    audience: str = Field(description="One of the tokens' `aud`.")
    key_file: Path = Field(description="The issuer's public keys, PEM or JWKS.")
    algorithms: tuple[str, ...] = Field(("RS256",), description="Those that count.")
    leeway_s: float = Field(10.0, ge=0, le=600, description="Seconds that clocks may differ.")


def read_token_rules(path: Path) -> TokenRules:
    """Return the rules in a YAML file; the key file's path is relative to its folder.

    Raises:
        ConfigError: The file cannot be read, or a field is unknown or missing.
    """
    file = TokenFile.from_yaml(path)
    return TokenRules(
        file.issuer,
        file.audience,
        path.parent / file.key_file.expanduser(),
        file.algorithms,
        file.leeway_s,
    )
