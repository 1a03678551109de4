from __future__ import annotations

import pytest

from agiwb.serving.servables.policy import (
    Action,
    All,
    Latest,
    Specific,
    Standing,
    preserve_availability,
    preserve_resources,
)
from agiwb.serving.servables.states import Stage

NEW, LOADING, READY = Stage.NEW, Stage.LOADING, Stage.READY
QUIESCING, UNLOADING, DISABLED = Stage.QUIESCING, Stage.UNLOADING, Stage.DISABLED
ERROR = Stage.ERROR
WANTED, UNWANTED = True, False

AVAILABILITY = {
    "loads the highest new aspired": (
        [
            (1, UNLOADING, UNWANTED),
            (2, ERROR, UNWANTED),
            (3, READY, WANTED),
            (4, NEW, WANTED),
            (5, NEW, WANTED),
        ],
        Action("load", 5),
    ),
    "unloads what is not aspired first": (
        [
            (1, UNLOADING, UNWANTED),
            (2, ERROR, UNWANTED),
            (3, READY, UNWANTED),
            (4, READY, WANTED),
            (5, NEW, WANTED),
        ],
        Action("unload", 3),
    ),
    "unloads the only one when none is aspired": (
        [(1, DISABLED, UNWANTED), (2, READY, UNWANTED), (3, ERROR, UNWANTED)],
        Action("unload", 2),
    ),
    "does nothing when there is nothing to do": (
        [
            (1, READY, WANTED),
            (2, ERROR, WANTED),
            (3, LOADING, WANTED),
            (4, UNLOADING, UNWANTED),
            (5, DISABLED, UNWANTED),
        ],
        None,
    ),
    "keeps the only one while the other loads": (
        [(1, READY, UNWANTED), (2, LOADING, WANTED)],
        None,
    ),
    "keeps the only one when the other failed": (
        [(1, READY, UNWANTED), (2, ERROR, WANTED)],
        None,
    ),
    "unloads when one answers, though another loads": (
        [(1, READY, UNWANTED), (2, LOADING, WANTED), (3, READY, WANTED)],
        Action("unload", 1),
    ),
    "unloads when one answers, though another failed": (
        [(1, READY, UNWANTED), (2, ERROR, WANTED), (3, READY, WANTED)],
        Action("unload", 1),
    ),
    "unloads the lowest of several when no aspired one is ready": (
        [
            (2, READY, UNWANTED),
            (1, READY, UNWANTED),
            (3, ERROR, WANTED),
            (4, LOADING, WANTED),
        ],
        Action("unload", 1),
    ),
}
"""The nine cases of TensorFlow Serving's availability_preserving_policy_test.cc."""

RESOURCES = {
    "unloads the first that is not aspired": (
        [
            (1, UNLOADING, UNWANTED),
            (2, READY, WANTED),
            (3, READY, UNWANTED),
            (4, NEW, WANTED),
            (5, READY, UNWANTED),
        ],
        Action("unload", 3),
    ),
    "loads the highest when there is none to unload": (
        [
            (1, READY, WANTED),
            (2, LOADING, WANTED),
            (3, NEW, WANTED),
            (4, DISABLED, UNWANTED),
            (5, NEW, WANTED),
        ],
        Action("load", 5),
    ),
    "does nothing when there is nothing to do": (
        [
            (1, READY, WANTED),
            (2, ERROR, WANTED),
            (3, LOADING, WANTED),
            (4, UNLOADING, UNWANTED),
            (5, DISABLED, UNWANTED),
        ],
        None,
    ),
    "does not load while another goes": ([(1, QUIESCING, UNWANTED), (2, NEW, WANTED)], None),
    "loads when what is not aspired failed": (
        [(1, ERROR, UNWANTED), (2, NEW, WANTED)],
        Action("load", 2),
    ),
    "waits for one that goes, though another failed": (
        [(1, ERROR, UNWANTED), (2, QUIESCING, UNWANTED), (3, NEW, WANTED)],
        None,
    ),
    "loads when all others have ended": (
        [(1, ERROR, UNWANTED), (2, DISABLED, UNWANTED), (3, NEW, WANTED)],
        Action("load", 3),
    ),
}
"""The seven cases of resource_preserving_policy_test.cc."""


@pytest.mark.parametrize(("standings", "action"), AVAILABILITY.values(), ids=AVAILABILITY)
def test_availability_is_preserved_as_in_tensorflow_serving(standings, action):
    assert preserve_availability([Standing(*entry) for entry in standings]) == action


@pytest.mark.parametrize(("standings", "action"), RESOURCES.values(), ids=RESOURCES)
def test_resources_are_preserved_as_in_tensorflow_serving(standings, action):
    assert preserve_resources([Standing(*entry) for entry in standings]) == action


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Latest(), (10,)),
        (Latest(2), (3, 10)),
        (Latest(0), (10,)),
        (Latest(9), (1, 3, 10)),
        (All(), (1, 3, 10)),
        (Specific((10, 1, 7)), (1, 10)),
        (Specific(()), ()),
    ],
)
def test_policies_choose_among_the_versions_on_disk(policy, chosen):
    assert policy.choose([3, 10, 1]) == chosen


@pytest.mark.parametrize("policy", [Latest(3), All(), Specific((1,))])
def test_of_nothing_nothing_is_chosen(policy):
    assert policy.choose([]) == ()
