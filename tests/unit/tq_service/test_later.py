"""A module that the client may need, and mostly does not."""

import sys

import pytest

from loaders.tq.client.program.__main__ import _Later


def test_a_module_is_imported_when_something_of_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "colorsys"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, name, _Later(name))
    import colorsys

    assert isinstance(sys.modules[name], _Later)
    assert colorsys.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert not isinstance(sys.modules[name], _Later)
    assert colorsys.hsv_to_rgb(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    with pytest.raises(AttributeError):
        _ = colorsys.no_such_name  # type: ignore[attr-defined]
