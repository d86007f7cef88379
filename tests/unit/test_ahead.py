"""Items that a thread draws while their reader works."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from loaders.landing.ahead import draw_ahead


def test_the_next_item_is_drawn_while_the_reader_has_the_one_before() -> None:
    drawn = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(drawn):
            event.set()
            yield number

    seen = []
    for number in draw_ahead(items()):
        if number < 2:
            drawn[number + 1].wait()  # for ever, were it not drawn now
        seen.append(number)
    assert seen == [0, 1, 2]


def test_an_error_comes_in_the_place_of_its_item() -> None:
    error = ValueError()

    def items() -> Iterator[int]:
        yield 1
        raise error

    numbers = draw_ahead(items())
    assert next(numbers) == 1
    with pytest.raises(ValueError) as raised:
        next(numbers)
    assert raised.value is error
    assert list(draw_ahead(iter([]))) == []


def test_closing_waits_for_the_thread_and_draws_no_more() -> None:
    count = 0

    def items() -> Iterator[int]:
        nonlocal count
        while True:
            count += 1
            yield count

    with closing(draw_ahead(items())) as numbers:
        assert next(numbers) == 1
    assert count == 2
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]
