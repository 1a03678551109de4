"""What is logged of predictions, how safely, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from agiwb.config import Config
from agiwb.errors import did_you_mean

Action = Literal["keep", "drop", "hash", "mask", "round"]

NonNegativeIndex = Annotated[int, Field(ge=0)]


class Rule(Config):
    """What becomes of one input or output, or of some of its features, before it is written."""

    action: Action = Field(description="Keep, drop, hash, mask or round the values.")
    input: str | None = Field(None, description="The input's name.")
    output: str | None = Field(None, description="The output's name, instead of an input's.")
    model: str | None = Field(None, description="The model; by default every one.")
    features: tuple[NonNegativeIndex | str, ...] | None = Field(
        None, description="Indices or names along the last dimension; by default the whole tensor."
    )
    decimals: int | None = Field(None, description="Round to so many digits after the point.")
    step: float | None = Field(None, gt=0, description="Round to multiples of this.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.input is None) == (self.output is None):
            raise ValueError("name either an input or an output")
        given = (self.decimals is not None) + (self.step is not None)
        if given != (self.action == "round"):
            raise ValueError("`round` takes either `decimals` or `step`, other actions neither")
        if self.features is not None and not self.features:
            raise ValueError("`features` names none; leave it out for the whole tensor")
        return self

    @property
    def tensor(self) -> str:
        """The name of the input or output."""
        return self.input or self.output or ""

    def concerns(self, model: str) -> bool:
        """Return whether the rule is about ``model``."""
        return self.model in {None, model}


class LogPolicy(Config):
    """How predictions are logged; the defaults log all of every one and lose none to kill -9."""

    share: float = Field(1.0, ge=0, le=1, description="The share of requests that is logged.")
    seed: int = Field(0, description="Decides, with the request id, which requests are in it.")
    durability: Literal["process", "disk", "none"] = Field(
        "process",
        description=(
            "What an acknowledged prediction survives: the process's death (and, but for its last "
            "second, the machine's); the machine's; neither for its last second."
        ),
    )
    on_error: Literal["refuse", "serve"] = Field(
        "serve", description="Answer what cannot be logged and count the loss, or refuse to answer."
    )
    segment_bytes: int = Field(32 << 20, ge=1, le=1 << 30, description="Size of a segment.")
    segment_seconds: float = Field(3600, gt=0, description="Age at which a segment is sealed.")
    keep_days: float | None = Field(None, gt=0, description="Delete what is older.")
    keep_bytes: int | None = Field(None, gt=0, description="Delete the oldest beyond this size.")
    redact: tuple[Rule, ...] = Field((), description="What is hidden; the last rule that fits wins")
    unnamed: Literal["keep", "drop"] = Field(
        "keep", description="What becomes of inputs that no rule names."
    )
    feature_names: dict[str, tuple[str, ...]] = Field(
        {}, description="By input or output, the names of its features in order."
    )
    hash_key_file: Path | None = Field(None, description="The file with the key for `hash`.")
    hash_key_env: str | None = Field(None, description="The environment variable with that key.")

    @model_validator(mode="after")
    def _has_what_its_rules_need(self) -> Self:
        if self.hash_key_file is not None and self.hash_key_env is not None:
            raise ValueError("give `hash_key_file` or `hash_key_env`, not both")
        if self.hash_key_file is None and self.hash_key_env is None and self.hashes:
            raise ValueError("`hash` needs a key: give `hash_key_file` or `hash_key_env`")
        for rule in self.redact:
            self.indices_of(rule)
        return self

    @property
    def hashes(self) -> bool:
        """Whether some rule needs the key."""
        return any(rule.action == "hash" for rule in self.redact)

    def indices_of(self, rule: Rule) -> tuple[int, ...] | None:
        """Return the indices of a rule's features; None for the whole tensor.

        Raises:
            ValueError: A feature's name is not in ``feature_names``.
        """
        if rule.features is None:
            return None
        names = self.feature_names.get(rule.tensor, ())
        for feature in rule.features:
            if isinstance(feature, str) and feature not in names:
                hint = did_you_mean(feature, names) if names else "List them in `feature_names`."
                raise ValueError(f"{rule.tensor!r} has no feature named {feature!r}. {hint}")
        return tuple(names.index(f) if isinstance(f, str) else f for f in rule.features)
