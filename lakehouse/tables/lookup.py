"""How a transform reads a table whose rows hold until the next one, as it is declared."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AsOf:
    """What a transform looks up in a dated input.

    Attributes:
        column: the day or instant from which a row of the input holds.
        by: for a table with keys, the column or columns of the first input by which its rows look it up, in the order
            of the key: each row asks what held of its key on its own day. The transform then sees no other keys than
            those of the rows that it is given, and a changed key makes again only the days that hold it.
    """

    column: str
    by: str | tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of `by`; empty where rows are not looked up by key."""
        return (self.by,) if isinstance(self.by, str) else tuple(self.by)


def parse_lookups(declared: Mapping[str, str | AsOf]) -> dict[str, AsOf]:
    """Dated inputs as they are declared, by the column alone or in full."""
    return {
        name: as_of if isinstance(as_of, AsOf) else AsOf(as_of) for name, as_of in declared.items()
    }


def describe_lookups(inputs: Mapping[str, AsOf]) -> list[tuple[str, tuple[str, ...]]]:
    """What of a declaration decides which rows a transform sees."""
    return [(name, as_of.names) for name, as_of in sorted(inputs.items()) if as_of.names]
