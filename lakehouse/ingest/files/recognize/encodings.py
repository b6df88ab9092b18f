"""The encoding of a text file, from its first bytes.

Only encodings that can be told apart for certain, or by how words of the languages of Western
Europe look, are named. A text in another one gets no encoding rather than a wrong one, because
every byte has some meaning in most of them.
"""

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUL_SHARE = 0.2
"""UTF-16 of any text has its separators and line ends, each with a NUL byte."""

_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""Bytes that mean nothing in Windows-1252."""

_EURO_IN_LATIN_9 = 0xA4
_WORD = re.compile(r"[^\W\d_]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_WESTERN = frozenset("ßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœ")
_SIGNS = frozenset(
    "\u20ac\u201a\u201e\u2026\u2020\u2021\u2030\u2039\u2018\u2019\u201c\u201d\u2022"
    "\u2013\u2014\u2122\u203a\xa1\xa2\xa3\xa5\xa7\xa9\xab\xae\xb0\xb1\xb2\xb3\xb4\xb5"
    "\xb7\xb9\xba\xbb\xbc\xbd\xbe\xbf\xaa\u02c6\u02dc\xd7\xf7 \xa0"
)
"""Signs that such texts have: quotation marks, dashes, currencies, fractions, degrees."""

_WITHIN_WORDS = frozenset("\u2019\xb4\xb7\u2018")
_LONG_RUN = 3


def find_encoding(head: bytes, *, is_whole: bool) -> str | None:
    """Returns the encoding of a text as `Files` names it; None if it cannot be told.

    Args:
        head: the first bytes.
        is_whole: whether they are the whole file; otherwise the last character may be cut.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        return _find_utf16(head)
    valid, broken = _count_characters(head, is_whole=is_whole)
    if not broken or valid > broken:
        return "utf-8"
    return _find_single_byte(head)


def _find_utf16(head: bytes) -> str | None:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    least = len(head) / 2 * _NUL_SHARE
    if odd >= least and odd > 4 * even:
        return "utf-16-le"
    if even >= least and even > 4 * odd:
        return "utf-16-be"
    return None


def _count_characters(head: bytes, *, is_whole: bool) -> tuple[int, int]:
    """Returns how many characters of several bytes are sound UTF-8, and how many bytes are not."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = decoder.decode(head, final=is_whole)
    broken = sum("\udc80" <= letter <= "\udcff" for letter in text)
    return len(_NOT_ASCII.findall(text)) - broken, broken


def _find_single_byte(head: bytes) -> str | None:
    if _UNDEFINED.search(head):
        return None
    text = head.decode("cp1252")
    if not _looks_western(text):
        return None
    return "iso-8859-15" if _EURO_IN_LATIN_9 in head else "cp1252"


def _looks_western(text: str) -> bool:
    """Returns whether words look as in languages of Western Europe.

    Another encoding read as this one gives signs within words, capital letters behind small ones,
    or words of nothing but accented letters.
    """
    for found in _NOT_ASCII.finditer(text):
        place, letter = found.start(), found[0]
        before, behind = text[place - 1 : place], text[place + 1 : place + 2]
        is_within = before.isalpha() and behind.isalpha() and before.isascii() and behind.isascii()
        if letter.lower() in _WESTERN:
            if letter.isupper() and before.islower():
                return False
        elif letter not in (*_SIGNS, "\xa4") or (is_within and letter not in _WITHIN_WORDS):
            return False
    longest = max(map(len, re.findall(r"[^\x00-\xbf]+", text)), default=0)
    return longest <= _LONG_RUN
