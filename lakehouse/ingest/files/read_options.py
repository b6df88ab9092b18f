"""How the files of a table are read: what every reader is told beside the bytes."""

from dataclasses import dataclass

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
