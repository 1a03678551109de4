"""Rules about hiding, and the models that have what they are about."""

from __future__ import annotations

import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import ConfigError
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.rule_coverage import RuleCoverage


def coverage(*rules):
    return RuleCoverage(LogPolicy.from_mapping({"redact": [{"action": "drop"} | r for r in rules]}))


def signature(*inputs):
    return Signature(
        inputs=tuple(TensorSpec(name=name, dtype="float32", shape=(None,)) for name in inputs),
        outputs=(TensorSpec(name="p", dtype="float32", shape=(None,)),),
    )


def test_a_misspelt_rule_is_told_with_the_name_that_was_meant():
    rules = coverage({"input": "nmae"})
    with pytest.raises(ConfigError, match=r"no input is named 'nmae'.*Did you mean `name`"):
        rules.check_version("m", [signature("name")], alone=True)
    with pytest.raises(ConfigError, match="no model 'x' is served"):
        coverage({"model": "x", "input": "a"}).check_models(["m"])


def test_a_rule_about_one_model_is_about_each_of_its_versions_and_no_other():
    rules = coverage({"model": "m", "input": "age"}, {"model": "m", "output": "p"})
    rules.check_models(["m", "other"])
    rules.check_version("other", [signature("x")], alone=False)
    rules.check_version("m", [signature("x"), signature("age")], alone=False)
    with pytest.raises(ConfigError, match="no input is named 'age'"):
        rules.check_version("m", [signature("years")], alone=False)


def test_a_rule_about_every_model_holds_where_it_once_found_something():
    rules = coverage({"input": "age"})
    rules.check_version("other", [signature("x")], alone=False)
    with pytest.raises(ConfigError, match="no input is named 'age'"):
        rules.check_all()
    rules.check_version("m", [signature("age")], alone=False)
    rules.check_all()
    rules.check_version("other", [signature("y")], alone=False)
    with pytest.raises(ConfigError, match="no input is named 'age'"):
        rules.check_version("m", [signature("years")], alone=False)
