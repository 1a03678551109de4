from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from agiwb.config import Config, describe_field
from agiwb.errors import ConfigError


class Sample(Config):
    epochs: int = Field(3, ge=1, le=10, description="Passes over the data.")
    family: Literal["mlp", "cnn"] = Field("mlp", description="Model family.")
    rate: float = Field(description="Step size.")


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no parameter `epoch`\. Did you mean `epochs`\?"):
        Sample(rate=1.0, epoch=2)  # type: ignore[call-arg]


def test_a_value_of_the_wrong_type_names_field_value_meaning_and_bounds() -> None:
    with pytest.raises(ConfigError) as caught:
        Sample(rate=1.0, epochs="ten")  # type: ignore[arg-type]
    message = str(caught.value)
    assert "`epochs` cannot be 'ten'" in message
    assert "Passes over the data (>= 1 and <= 10; default 3)" in message


def test_a_value_out_of_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="`epochs` cannot be 11"):
        Sample(rate=1.0, epochs=11)


def test_a_wrong_choice_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean `cnn`"):
        Sample(rate=1.0, family="cn")  # type: ignore[arg-type]


def test_a_missing_field_is_named_with_its_meaning() -> None:
    with pytest.raises(ConfigError, match="needs the parameter `rate`: Step size"):
        Sample()  # type: ignore[call-arg]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"`epochs`.*no parameter `lr`"):
        Sample(rate=1.0, epochs=0, lr=3)  # type: ignore[call-arg]


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Sample(rate=1.0).epochs = 5  # type: ignore[misc]


def test_a_notebooks_variables_make_the_config() -> None:
    namespace = {"epochs": 5, "rate": 0.1, "os": object(), "_": 1}
    assert Sample.from_notebook(namespace) == Sample(epochs=5, rate=0.1)


def test_yaml_gives_fields_and_overrides_win(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("epochs: 5\nrate: 0.5\n")
    assert Sample.from_yaml(path, {"rate": 0.25}) == Sample(epochs=5, rate=0.25)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [\n", "\xff\xfe"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        Sample.from_yaml(path)


def test_a_field_is_described_with_choices_and_default() -> None:
    assert describe_field(Sample.model_fields["family"]) == (
        "Model family (one of mlp, cnn; default mlp)"
    )
    assert describe_field(Sample.model_fields["rate"]) == "Step size (required)"


def test_a_notebook_shows_every_field_and_of_a_large_config_those_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from IPython.lib.pretty import pretty

    assert pretty(Sample(rate=0.5)) == (
        "Sample(\n    epochs=3,\n    family='mlp',\n    rate=0.5,\n)"
    )
    monkeypatch.setattr("agiwb.config._MOST_SHOWN_FIELDS", 2)
    assert pretty(Sample(rate=0.5)) == (
        "Sample(\n    rate=0.5,\n    # and 2 more at their defaults\n)"
    )
