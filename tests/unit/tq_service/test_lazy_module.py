"""A module that is imported at first use."""

import sys

import pytest

from loaders.tq.client.program.__main__ import LazyModule


def test_a_module_is_imported_when_an_attribute_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "colorsys"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, name, LazyModule(name))
    import colorsys

    assert isinstance(sys.modules[name], LazyModule)
    assert colorsys.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert not isinstance(sys.modules[name], LazyModule)
    assert colorsys.hsv_to_rgb(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    with pytest.raises(AttributeError):
        _ = colorsys.no_such_name  # type: ignore[attr-defined]
