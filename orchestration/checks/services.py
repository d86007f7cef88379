"""Checks of what loads read and write beside the warehouse: sources and the tick store."""

from collections.abc import Iterator
from functools import partial

from loaders import sources
from loaders.check import Check, run_checks
from orchestration.checks.place import Place


def check_tick_store(place: Place) -> list[Check]:
    return [] if place.ticks is None else place.ticks.checks


def check_services(place: Place) -> Iterator[Check]:
    """Ask each configured source; others are named."""
    ready, missing = sources.configured(place.settings)
    for name in ready:
        yield from sources.check(name, place.settings, place.now)
    for name, why in missing.items() if ready else ():
        yield Check("service", "unknown", f"{name}: {why}", subject=name)


def check_setup(place: Place) -> Iterator[Check]:
    """Check what each source needs besides its service."""
    ready, _ = sources.configured(place.settings)
    given = place.settings, place.warehouse, place.as_of or place.now
    yield from run_checks(
        (name, partial(sources.find(name).insight.doctor, *given)) for name in ready
    )
