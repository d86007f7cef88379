"""Settings as readers read them: those outside of every section."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quotemill.settings.merge import Layer, read_layers
from quotemill.settings.model import TopSettings


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> TopSettings:
    """Read every place once. Raises SettingsError that names the field and what it allows."""
    layers = read_layers(TopSettings, environ, cwd, **flags)
    own, *above = map(_drop_sections, (layers.own, *layers.above))
    return replace(layers, own=own, above=tuple(above)).merge()


def _drop_sections(layer: Layer) -> Layer:
    return {name: value for name, value in layer.items() if "." not in name}
