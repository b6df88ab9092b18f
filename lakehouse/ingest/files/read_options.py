"""How the files of a table are read: what every reader is told beside the bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lakehouse.tables.files import PLAIN, Files


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Attributes:
        required: columns without which the file is refused; case and outer blanks do not count.
        columns: the declared columns in their order; they name those of a file without a header.
        files: what the file looks like.
    """

    required: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    files: Files = PLAIN


PLAIN_OPTIONS = ReadOptions()
"""A plain file of which nothing is declared."""


def leave_out(options: ReadOptions, names: Iterable[str]) -> ReadOptions:
    """Returns the options of a file that need not have some of the columns."""
    others = {name.casefold() for name in names}
    if not others:
        return options
    return replace(
        options,
        required=tuple(name for name in options.required if name.casefold() not in others),
        columns=tuple(name for name in options.columns if name.casefold() not in others),
    )
