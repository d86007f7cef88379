"""The kill points of tests/faults name functions that exist."""

import pkgutil

import pytest

from tests.faults.points import GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_every_kill_point_names_a_function(group: str) -> None:
    for name, point in GROUPS[group].items():
        for function in point.functions:
            assert callable(pkgutil.resolve_name(function)), (name, function)
