"""What a space may be written as, and what is refused before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from agiwb.cli import main
from agiwb.errors import ConfigError
from agiwb.training.search.config import SearchConfig
from agiwb.training.search.space import Choices, Span, grid_points, parse_range


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("learning_rate", "1e-4..1e-1:log", Span(1e-4, 1e-1, log=True)),
        ("units", "16..128:16", Span(16, 128, 16)),
        ("layers", "1..3", Span(1, 3)),
        ("dropout", "0..0.3:0.1", Span(0.0, 0.3, 0.1)),
        ("optimizer", "adam, sgd", Choices(("adam", "sgd"))),
        ("batch_norm", "true,false", Choices((True, False))),
        ("layers", "none,2,2", Choices((None, 2))),
        ("clip_norm", "none,1", Choices((None, 1.0))),
        ("class_weights", "none,balanced", Choices(("none", "balanced"))),
        ("units", "64", Choices((64,))),
    ],
)
def test_a_range_is_read_as_the_field_takes_it(name: str, text: str, expected: Any) -> None:
    found = parse_range(name, text)
    assert found == expected
    assert parse_range(name, str(found)) == expected


@pytest.mark.parametrize(
    "space",
    [
        ["learning-rate=1e-4..1e-1:log", "units=16,32", "batch_norm=true,false"],
        "learning_rate=1e-4..1e-1:log units=16,32 batch_norm=true,false",
        {
            "learning_rate": {"low": "1e-4", "high": 0.1, "log": True},
            "units": [16, 32],
            "batch_norm": [True, False],
        },
    ],
)
def test_flags_and_yaml_mean_the_same(space: Any) -> None:
    config = SearchConfig(space=space)
    assert config.space == {
        "learning_rate": "0.0001..0.1:log",
        "units": "16,32",
        "batch_norm": "true,false",
    }
    assert SearchConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space": ["unit=16,32"]}, "no parameter `unit`.*Did you mean `units`"),
        ({"space": ["units=2..64"]}, "`units` cannot be '2'.*greater than or equal to 4"),
        ({"space": ["learning_rate=0.1..20"]}, "`learning_rate` cannot be '20'.*<= 10"),
        ({"space": ["units=64..16"]}, "from a number to a larger one"),
        ({"space": ["units=16..120:16"]}, "end at 112. Write units=16..112:16"),
        ({"space": ["units=16..64:0.5"]}, "a step that is a whole number"),
        ({"space": ["units=16..64:100"]}, "within the range"),
        ({"space": ["dropout=0..0.5:log"]}, "begins above 0"),
        ({"space": ["optimizer=adam,sdg"]}, "'sdg'.*should be 'adam'"),
        ({"space": ["architecture=mlp,cn"]}, "no model family 'cn'"),
        ({"space": ["units"]}, "`units` has no values"),
        ({"space": ["units=16", "units=32"]}, "`units` is given twice"),
        ({"space": ["seed=1,2"]}, "`seed` cannot be searched"),
        ({"space": {"units": {"low": 16}}}, "`low` and `high`"),
        ({"space": {"units": {"low": 16, "high": 32, "log": True, "step": 2}}}, "not both"),
        ({"space": ["units=16,32"], "units": 48}, "set to 48 and searched as well"),
        ({"space": ["learning_rate=0.1..0.2"], "sampler": "grid"}, "is a continuum"),
        ({"space": ["units=4..4096", "batch_size=1..64"], "sampler": "grid"}, "261952 points"),
        ({"strategy": "multi_worker"}, "Use `scheduler`"),
        ({"trial": 3}, "Did you mean `trials`"),
        ({"storage": "mysql://host/db"}, "nothing can be kept in mysql"),
        ({"storage": "sqlite:///relative.db"}, "must be absolute"),
        ({"storage": "nowhere"}, "not the URL of a database"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_fix(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig(**fields)


def test_the_command_line_refuses_a_bad_space_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["search", "--space", "units=2..64"]) == 2
    assert "`units` cannot be '2'" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["mlp", "cnn", "rnn", "text", "tabular", "lenet_5"])
@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_every_family_has_a_usual_space(family: str, sampler: Any) -> None:
    config = SearchConfig(architecture=family, sampler=sampler)
    assert "learning_rate" in config.ranges
    assert 2 <= config.total_trials <= 100


def test_what_the_user_set_is_left_out_of_the_usual_space() -> None:
    assert "units" in SearchConfig(architecture="mlp").ranges
    assert "units" not in SearchConfig(architecture="mlp", units=48).ranges


def test_a_grid_has_each_point_once() -> None:
    config = SearchConfig(
        sampler="grid", space=["units=16..48:16", "dropout=0..0.3:0.1", "batch_norm=true,false"]
    )
    points = list(grid_points(config.ranges))
    assert len({tuple(point.items()) for point in points}) == len(points) == 24
    assert {point["dropout"] for point in points} == {0.0, 0.1, 0.2, 0.3}
    assert config.total_trials == 24
    assert config.model_copy(update={"trials": 5}).total_trials == 5


def test_a_trial_has_the_base_and_its_own_settings() -> None:
    config = SearchConfig(architecture="mlp", epochs=7, space=["momentum=0,0.5"])
    assert config.trial_config({"units": 8}).epochs == 7
    assert config.trial_config({"units": 8}).units == 8
    with pytest.raises(ConfigError, match="momentum is for sgd"):
        config.trial_config({"momentum": 0.5})


def test_workers_and_number_of_trials_do_not_make_another_study() -> None:
    config = SearchConfig(space=["units=16,32"])
    same = config.model_copy(update={"trials": 99, "workers": 2, "timeout_s": 1.0, "name": "x"})
    other = config.model_copy(update={"folds": 2})
    assert same.decisive() == config.decisive() != other.decisive()
