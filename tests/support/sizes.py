"""Sizes and seeds of tests: a small one of each kind for `make test`, the others for `make test-full`."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy


def full(*values: object) -> object:
    """A set of parameters that `make test-full` alone tries."""
    return pytest.param(*values, marks=pytest.mark.full)


def first(count: int, values: Iterable[object]) -> list[object]:
    """Values of one parameter: the first ones for `make test`, the others for `make test-full`."""
    return [value if number < count else full(value) for number, value in enumerate(values)]


def examples(
    few: int, many: int, **given_as: SearchStrategy[object]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Tries a property on few examples in `make test`, and on many in `make test-full`."""

    def decorate(law: Callable[..., None]) -> Callable[..., None]:
        tries = {
            count: settings(max_examples=count, deadline=None)(given(**given_as)(law))
            for count in (few, many)
        }

        @pytest.mark.parametrize("count", [few, full(many)])
        def test(count: int) -> None:
            tries[count]()

        test.__doc__ = law.__doc__
        return test

    return decorate
