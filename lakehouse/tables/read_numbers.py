"""Numbers and booleans read from text as people and programs write them, for `cast`.

Belongs here: texts with separators, signs, currencies and percent signs. What such a text means is
declared, never guessed: a text that does not fit the declaration is null, and `cast` quarantines
its row under `<column> can be read`.
Does not belong here: days and instants (`read_times.py`).
"""

import re
from collections.abc import Iterable

import polars as pl
from polars.datatypes import DataTypeClass

from lakehouse.errors import SetupError

BLANK = r"[ \t\u{00A0}\u{2009}\u{202F}]"
"""Blanks within a text: those of a keyboard, and those that programs put between digits."""

_BLANKS = " \t\r\n\v\f\u0085\u00a0\u2009\u202f"
_MINUS = "\u2212-"  # the hyphen last: it stands in sets of characters
_ANY_CURRENCY = r"\p{Sc}|[A-Z]{3}"
_SEPARATORS = {" ": BLANK, "'": "['\u2019]"}
"""How the separators are written that have more than one character."""


def read_number(
    column: str | pl.Expr,
    dtype: pl.DataType | DataTypeClass = pl.Float64,
    *,
    decimal: str = ".",
    thousands: str | None = None,
    currency: bool | str | Iterable[str] = False,
    percent: bool = False,
) -> pl.Expr:
    """Reads numbers from text; what cannot be read is null.

    A sign stands before or after the number, and parentheses mean a negative one. Blanks around the
    text, the sign and the currency are ignored. Nothing is rounded but to the nearest `Float64`: a
    text with more decimals than a decimal or a whole number has room for cannot be read, unless
    these are zeros. An exponent, as in `1.5E+03`, is read for real numbers only.

    Args:
        column: a column of text, or an expression.
        dtype: the type of the result: real, whole or decimal numbers.
        decimal: the character before the decimals.
        thousands: the character between groups of three digits. It stands between all of them or
            between none, and no grouped number begins with 0. A blank stands for all kinds of
            blank, among them those that do not break a line.
        currency: whether a currency stands before or after the number: one of these symbols, such
            as `("€", "EUR")`; or, with True, any one currency sign or code of three capitals.
        percent: whether a number may have a percent sign, which divides it by 100. Without one it
            is read as it stands.

    Raises:
        SetupError: the declaration makes no sense.
    """
    _check_separators(decimal, thousands)
    symbols = _describe_currency(currency=currency)
    text = _as_expression(column).str.strip_chars(_BLANKS)
    number, sign_after = _describe_number(decimal, thousands), f"{BLANK}*%" if percent else ""
    text = pl.when(text.str.contains(_describe_text(number, symbols, sign_after))).then(text)
    bare = text.str.replace(symbols, "") if symbols else text
    bare = bare.str.strip_chars(f"{_BLANKS}%")
    is_negative = bare.str.contains(rf"^[({_MINUS}]|[{_MINUS}]$")
    digits = bare.str.strip_chars(f"{_BLANKS}%()+{_MINUS}")
    if thousands is not None:
        digits = digits.str.replace_all(_describe_separator(thousands), "")
    digits = digits.str.replace(decimal, ".", literal=True)
    if percent:
        is_percent = text.str.contains("%", literal=True)
        digits = pl.when(is_percent).then(_divide_by_hundred(digits)).otherwise(digits)
    signed = pl.when(is_negative).then(digits.str.replace("^", "-")).otherwise(digits)
    return _convert(signed, dtype() if isinstance(dtype, type) else dtype)


def read_boolean(
    column: str | pl.Expr,
    true: str | Iterable[str] = ("true",),
    false: str | Iterable[str] = ("false",),
) -> pl.Expr:
    """Reads booleans from text by the words that stand for them; any other text is null.

    Capitals and blanks around a word make no difference.

    Args:
        column: a column of text, or an expression.
        true: the words that mean true.
        false: the words that mean false.

    Raises:
        SetupError: a word means both, or nothing means one of the two.
    """
    words = {value: _fold(given) for value, given in ((True, true), (False, false))}
    if not all(words.values()):
        raise SetupError(
            "read_boolean: no word means "
            f"{', '.join(str(value).lower() for value in words if not words[value])}.\n"
            'Next: name the words, as in true=("yes",), false=("no",).'
        )
    if both := words[True] & words[False]:
        raise SetupError(
            f"read_boolean: {', '.join(map(repr, sorted(both)))} means both true and false.\n"
            "Next: name each word once."
        )
    text = _as_expression(column).str.strip_chars(_BLANKS).str.to_lowercase()
    is_true = text.is_in(sorted(words[True]))
    return pl.when(is_true | text.is_in(sorted(words[False]))).then(is_true)


def _as_expression(column: str | pl.Expr) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column


def _fold(words: str | Iterable[str]) -> set[str]:
    listed = (words,) if isinstance(words, str) else words
    return {word.strip(_BLANKS).lower() for word in listed}


def _check_separators(decimal: str, thousands: str | None) -> None:
    for name, mark in (("decimal", decimal), ("thousands", thousands)):
        if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in f"+()%{_MINUS}"):
            raise SetupError(
                f"read_number: {name} is {mark!r}, it has to be one character that is no digit, "
                'letter or sign.\nNext: name it, as in decimal=",", thousands=".".'
            )
    if decimal == thousands:
        raise SetupError(
            f"read_number: {decimal!r} is both the decimal character and the one between "
            "thousands.\nNext: name another for one of them."
        )


def _describe_currency(*, currency: bool | str | Iterable[str]) -> str | None:
    """Returns the pattern of the currencies that may stand beside a number."""
    if isinstance(currency, bool):
        return _ANY_CURRENCY if currency else None
    symbols = (currency,) if isinstance(currency, str) else tuple(currency)
    wrong = [one for one in symbols if not one or re.search(r"[\s\d()%+\-\u2212]|^[eE]$", one)]
    if wrong or not symbols:
        raise SetupError(
            f"read_number: currency is {currency!r}; a symbol holds no digits, blanks or signs.\n"
            'Next: name the symbols, as in currency=("€", "EUR").'
        )
    # The longest first: of `kr` and `kr.` the second.
    return "|".join(re.escape(one) for one in sorted(symbols, key=len, reverse=True))


def _describe_separator(mark: str) -> str:
    return _SEPARATORS.get(mark, re.escape(mark))


def _describe_number(decimal: str, thousands: str | None) -> str:
    """Returns the pattern of a number without its sign."""
    point, exponent = re.escape(decimal), r"(?:[eE][-+]?[0-9]+)?"
    forms = [f"[0-9]+(?:{point}[0-9]*)?{exponent}", f"{point}[0-9]+{exponent}"]
    if thousands is not None:
        mark = _describe_separator(thousands)
        forms.append(f"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+(?:{point}[0-9]*)?")
    return f"(?:{'|'.join(forms)})"


def _describe_text(number: str, symbols: str | None, after: str) -> str:
    """Returns the pattern of a number with at most one sign and one currency around it."""
    gap, sign = f"{BLANK}*", f"[+{_MINUS}]"
    number = f"{number}(?:{after})?" if after else number
    around = [("", ""), (sign, ""), ("", sign)]
    bracketed = [f"{number}"]
    if symbols:
        money = f"(?:{symbols})"
        around += [(money, ""), ("", money), (sign, money), (money, sign)]
        around += [(sign + gap + money, ""), (money + gap + sign, "")]
        around += [("", sign + gap + money), ("", money + gap + sign)]
        bracketed += [money + gap + number, number + gap + money]
    forms = [
        f"{before}{gap if before else ''}{number}{gap if behind else ''}{behind}"
        for before, behind in around
    ]
    forms += [rf"\({gap}{one}{gap}\)" for one in bracketed]
    if symbols:
        forms += [
            rf"{money}{gap}\({gap}{number}{gap}\)",
            rf"\({gap}{number}{gap}\){gap}{money}",
        ]
    return f"^(?:{'|'.join(forms)})$"


def _divide_by_hundred(digits: pl.Expr) -> pl.Expr:
    # The point is moved in the text: a division would round what a decimal holds exactly.
    padded = digits.str.replace("^", "00")
    return padded.str.replace(r"^([0-9]*)([0-9]{2})(?:\.([0-9]*))?", "${1}.${2}${3}")


def _convert(digits: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Returns numbers of a type from texts such as `-12.50`; null where one has no room."""
    if dtype.is_float():
        number = digits.cast(dtype, strict=False)
        return pl.when(number.is_finite()).then(number)
    if not dtype.is_integer() and not isinstance(dtype, pl.Decimal):
        raise SetupError(
            f"read_number: {dtype} is no type of numbers.\n"
            "Next: name one such as pl.Float64, pl.Int64 or pl.Decimal(12, 2)."
        )
    # Polars would round what has too many decimals.
    without_exponent = pl.when(~digits.str.contains("[eE]")).then(digits)
    plain = without_exponent.str.replace(r"(\.[0-9]*?)0*$", "${1}").str.strip_suffix(".")
    room = dtype.scale if isinstance(dtype, pl.Decimal) else 0
    fits = ~plain.str.contains(rf"\.[0-9]{{{room + 1},}}$")
    # `.00` leaves no digit.
    whole = plain.replace({"": "0", "-": "-0"})
    return pl.when(fits).then(whole).cast(dtype, strict=False)
