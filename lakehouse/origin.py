"""The origin of raw rows and dead letters: a delivered file, as the column `_source` names it.

Belongs here: rendering `_source` and taking it apart, as plain text and as Polars expressions.
Nothing else in the engine knows how it is spelled: `<file name>#<SHA-256 of the file's bytes>`, or
`<file name>#unreadable` for a file whose bytes could not be read.
"""

from dataclasses import dataclass

import polars as pl

DIGEST_DIGITS = 64
"""Hexadecimal digits of the hash in a `_source`: all of SHA-256.

With 16 of them, two files of the same hash were made in minutes, and the second was taken for the
first. Stored rows carry this many digits. Changing it makes every landed file look new."""

_SEPARATOR = "#"
_SHOWN_DIGITS = 12
# Not hexadecimal, so that no hash reads like it.
_NO_DIGEST = "unreadable"


@dataclass(frozen=True)
class Origin:
    """A delivered file: its name, and the hash of its bytes.

    Attributes:
        name: the path of the file below the landing folder of its table; it may hold any character.
        digest: the SHA-256 of its bytes, hexadecimal.
    """

    name: str
    digest: str

    @classmethod
    def of(cls, name: str, digest: str) -> "Origin":
        """Returns the origin of a file by its name and the hash of its bytes, whole or cut off."""
        return cls(name, digest[:DIGEST_DIGITS])

    @classmethod
    def of_unreadable(cls, name: str) -> "Origin":
        """Returns the origin of a file that could not be read; each landing tries it again."""
        return cls(name, _NO_DIGEST)

    @classmethod
    def parse(cls, source: str) -> "Origin":
        """Returns the origin that a `_source` names."""
        # From the right: the name of a file may hold the separator, a digest cannot.
        name, _, digest = source.rpartition(_SEPARATOR)
        return cls(name, digest)

    @property
    def source(self) -> str:
        """The origin as the column `_source` holds it."""
        return f"{self.name}{_SEPARATOR}{self.digest}"

    @property
    def label(self) -> str:
        """The origin in a message: its name and as much of the hash as people compare."""
        return f"{self.name}{_SEPARATOR}{self.digest[:_SHOWN_DIGITS]}"

    @property
    def is_readable(self) -> bool:
        """Whether the bytes of the file could be read."""
        return self.digest != _NO_DIGEST

    @property
    def identity(self) -> str:
        """What identifies the file: the hash of its bytes, or its `_source` if it has none."""
        # Equal bytes under another name are the same delivery (docs/decisions/0002).
        return self.digest if self.is_readable else self.source


def is_readable(source: pl.Expr) -> pl.Expr:
    """Returns true for a `_source` of a file whose bytes could be read."""
    return ~source.str.ends_with(f"{_SEPARATOR}{_NO_DIGEST}")


def has_short_digest(source: pl.Expr) -> pl.Expr:
    """Returns true for a `_source` that ends with 16 digits of a hash, as before 0.2.0."""
    return source.str.contains(f"{_SEPARATOR}[0-9a-f]{{16}}$")


def make_source(name: pl.Expr, digest: pl.Expr) -> pl.Expr:
    """Returns the `_source` of a file by its name and the hash of its bytes."""
    return pl.concat_str(name, pl.lit(_SEPARATOR), digest)


def select_name(source: pl.Expr) -> pl.Expr:
    """Returns the name of the file that a `_source` names, as `name`."""
    # Cutting at fixed widths takes a sixth of the time of a regular expression.
    by_digest = source.str.head(-DIGEST_DIGITS - len(_SEPARATOR))
    unreadable = source.str.head(-len(_NO_DIGEST) - len(_SEPARATOR))
    return pl.when(is_readable(source)).then(by_digest).otherwise(unreadable).alias("name")


def select_digest(source: pl.Expr) -> pl.Expr:
    """Returns the hash that the `_source` of a readable file names, as `digest`."""
    return source.str.tail(DIGEST_DIGITS).alias("digest")


def select_identity(source: pl.Expr) -> pl.Expr:
    """Returns `Origin.identity` for a `_source`, as `identity`."""
    identity = pl.when(is_readable(source)).then(select_digest(source)).otherwise(source)
    return identity.alias("identity")
