"""A bound of whole numbers: how large the values of a column, a literal or a power may be.

Belongs here: bounds as values. Does not belong here: how the steps of a plan change them
(`plan_bounds.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

_UNBOUNDED = 2**4096


@dataclass(frozen=True)
class Bound:
    """How large the values of an expression may be.

    Attributes:
        size: the largest absolute value; None for values that are no whole numbers.
        columns: the columns of inputs that make it wider if they are wider.
        is_known: whether the size follows from values alone, not from types.
    """

    size: int | None = None
    columns: frozenset[str] = frozenset()
    is_known: bool = True

    def of_size(self, size: int | None) -> "Bound":
        """Returns the same bound with another size."""
        return Bound(size if size is None else min(size, _UNBOUNDED), self.columns, self.is_known)


@dataclass(frozen=True)
class BoundedFrame:
    """The columns of a frame and their bounds, and the number of its rows at most."""

    columns: Mapping[str, Bound]
    rows: int

    def find(self, name: str) -> Bound:
        """Returns the bound of a column; of one with an unknown name that of all columns."""
        found = self.columns.get(name)
        return join(self.columns.values()) if found is None else found


def join(bounds: Iterable[Bound]) -> Bound:
    """Returns the bound of values that are any of several."""
    found = [bound for bound in bounds if bound.size is not None]
    if not found:
        return Bound()
    columns = frozenset[str]().union(*(bound.columns for bound in found))
    sizes = [bound.size for bound in found if bound.size is not None]
    return Bound(max(sizes), columns, all(bound.is_known for bound in found))


def bound_series(values: pl.Series) -> Bound:
    """Returns the bound of the values of a series."""
    if not values.dtype.is_integer():
        return Bound()
    sizes = (abs(int(end)) for end in (values.min(), values.max()) if end is not None)  # type: ignore[arg-type]
    return Bound(max(sizes, default=0))


def read_literal(content: Any) -> Bound:  # noqa: ANN401 - any JSON
    """Returns the bound of a literal of a plan."""
    values = list(_list_numbers(content))
    if any(isinstance(value, int) for value in values):
        return Bound(max(abs(value) for value in values if isinstance(value, int)))
    # A series: its numbers are not read.
    is_series = any(kind in str(content)[:40] for kind in ("List", "Series"))
    return Bound(2**63, is_known=False) if is_series else Bound()


def _list_numbers(content: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    for outer in content.values() if isinstance(content, dict) else ():
        for kind, value in outer.items() if isinstance(outer, dict) else ():
            if kind.startswith(("Int", "UInt")):
                yield int(value)


def times(size: int | None, rows: int) -> int | None:
    """Returns how large a sum of so many values may be."""
    return None if size is None else size * rows


def power_of(size: int, exponent: int) -> int:
    """Returns a power; a limit far beyond 128 bits stands for what is larger."""
    if size <= 1:
        return size
    return size**exponent if size.bit_length() * exponent <= _UNBOUNDED.bit_length() else _UNBOUNDED
