"""Mutations of the structure of a file: header, columns, lines, encoding, nesting."""

import json
import re
from collections.abc import Callable
from random import Random

from campaign.mutations import Mutation

_LINE_ENDS = ("\r\n", "\r", "\n\n", "\n\r", "\u2028\n")


def _lines(change: Callable[[Random, list[str]], list[str]]) -> Mutation:
    """Returns a mutation of the list of lines."""

    def apply(random: Random, content: bytes) -> bytes:
        text = content.decode("utf-8", "surrogateescape")
        return "\n".join(change(random, text.split("\n"))).encode("utf-8", "surrogateescape")

    return apply


def _one(change: Callable[[Random, str], str]) -> Mutation:
    """Returns a mutation of one random line."""

    def apply(random: Random, lines: list[str]) -> list[str]:
        place = random.randrange(len(lines))
        return [*lines[:place], change(random, lines[place]), *lines[place + 1 :]]

    return _lines(apply)


def _header(change: Callable[[Random, list[str]], list[str]]) -> Mutation:
    """Returns a mutation of the cells of the first line."""

    def apply(random: Random, lines: list[str]) -> list[str]:
        separator = "\t" if "\t" in lines[0] else ","
        return [separator.join(change(random, lines[0].split(separator))), *lines[1:]]

    return _lines(apply)


def _encode(random: Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(
        random.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-8-sig", "cp500"]),
        "replace",
    )


def _shuffle(random: Random, lines: list[str]) -> list[str]:
    body = lines[1:]
    random.shuffle(body)
    return [lines[0], *body] if random.random() < 0.7 else [*body, lines[0]]


def _shuffle_columns(random: Random, lines: list[str]) -> list[str]:
    separator = "\t" if "\t" in lines[0] else ","
    order = list(range(len(lines[0].split(separator))))
    random.shuffle(order)
    cells = [line.split(separator) for line in lines]
    return [
        separator.join(row[n] for n in order) if len(row) == len(order) else separator.join(row)
        for row in cells
    ]


def _mix_line_ends(random: Random, content: bytes) -> bytes:
    ends = [random.choice(_LINE_ENDS) for _ in range(content.count(b"\n"))]
    parts = content.decode("utf-8", "surrogateescape").split("\n")
    return "".join(part + end for part, end in zip(parts, [*ends, ""], strict=True)).encode(
        "utf-8", "surrogateescape"
    )


_COMMON: dict[str, Mutation] = {
    "other encoding": _encode,
    "line endings changed": lambda random, content: content.replace(
        b"\n", random.choice(_LINE_ENDS).encode()
    ),
    "mixed line endings": _mix_line_ends,
    "lines shuffled": _lines(_shuffle),
    "line repeated": _lines(lambda random, lines: [*lines, random.choice(lines)]),
    "blank lines": _lines(
        lambda random, lines: [
            part for line in lines for part in (line, *[""] * random.choice([0, 0, 2]))
        ]
    ),
    "lines joined": _lines(lambda _, lines: ["".join(lines[:2]), *lines[2:]]),
    "byte order marks": lambda random, content: b"\xef\xbb\xbf" * random.choice([1, 2]) + content,
    "no lines": lambda _, content: content.split(b"\n")[0],
    "spaces around": _one(lambda _, line: f"  {line}\t "),
    "many lines": lambda random, content: (
        content + content.split(b"\n")[0].replace(b"mark", b"1") * random.choice([1, 300])
    ),
}
_TABLES: dict[str, Mutation] = {
    "header without cells": _header(
        lambda random, cells: random.sample(cells, random.randint(0, len(cells)))
    ),
    "header repeated": _header(lambda random, cells: [*cells, random.choice(cells)]),
    "header in capitals": _header(lambda _, cells: [cell.upper() for cell in cells]),
    "header reserved": _header(
        lambda random, cells: [*cells[:-1], random.choice(["_source", "_offset", "*", "^m.*$", ""])]
    ),
    "header odd": _header(
        lambda random, cells: [
            *cells,
            random.choice(["a.b", "x=y", 'q"', "a b", "ß", "SS", "%20", "x" * 999]),
        ]
    ),
    "header wide": _header(
        lambda random, cells: [*cells, *(f"c{n}" for n in range(random.choice([40, 5000])))]
    ),
    "no header": _lines(lambda _, lines: lines[1:]),
    "columns shuffled": _lines(_shuffle_columns),
    "cells missing": _one(lambda random, line: line[: random.randrange(len(line) + 1)]),
    "cells repeated": _one(lambda _, line: f"{line},{line}"),
    "empty cells at the end": _one(lambda _, line: f"{line},,,"),
    "quotes taken out": lambda random, content: content.replace(b'"', b"", random.choice([1, -1])),
    "quotes put around": _lines(
        lambda _, lines: [re.sub(r"[^,]+", r'"\g<0>"', line) for line in lines]
    ),
    "quotes doubled": lambda _, content: content.replace(b'"', b'""'),
    "other separator": lambda random, content: content.replace(
        b",", random.choice([b";", b"|", b"\t"])
    ),
}


def _deep(random: Random, line: str) -> str:
    depth = random.choice([50, 900, 5_000, 60_000])
    opening, closing = random.choice([("[", "]"), ('{"a":', "}")])
    return (
        line[:-1]
        + f',"deep":{opening * depth}1{closing * random.choice([depth, depth, depth - 1])}'
        + "}"
    )


def _add_member(*texts: str) -> Mutation:
    """Returns a mutation that adds a member to one object."""
    return _one(
        lambda random, line: f"{line[:-1]},{random.choice(texts)}}}" if line.endswith("}") else line
    )


_OBJECTS: dict[str, Mutation] = {
    "deeply nested": _one(_deep),
    "keys repeated": _add_member(
        '"mark":1', '"last":null', '"k":1,"k":2', '"MARK":1', '" mark ":2'
    ),
    "odd keys": _add_member(
        '"":1',
        '"_source":1',
        '"*":1',
        '"^a$":1',
        '"a.b":1',
        '"\\u0000":1',
        '"\\ud800":1',
        f'"{"k" * 3000}":1',
    ),
    "odd values": _add_member(
        '"v":NaN',
        '"v":1e999',
        '"v":-0',
        f'"v":{"9" * 5000}',
        '"v":"\\ud800"',
        '"v":"\\u0000"',
        '"v":01',
        '"v":.5',
    ),
    "a list": _lines(lambda _, lines: ["[", *(f"{line}," for line in lines), "]"]),
    "printed with blanks": _one(lambda _, line: _print_record(line)),
    "no objects": _one(
        lambda random, _: random.choice(
            ["1", '"text"', "null", "true", "[1]", "{}", "NaN", "{", "}{", "\\"]
        )
    ),
    "two in a line": _one(lambda _, line: line + line),
    "comments": _one(lambda _, line: f"// {line}"),
    "single quotes": _one(lambda _, line: line.replace('"', "'")),
    "many keys": _one(
        lambda random, line: (
            f"{line[:-1]}," + ",".join(f'"w{n}":1' for n in range(random.choice([50, 5000]))) + "}"
        )
    ),
}


def _print_record(line: str) -> str:
    """Returns a record over several lines, or its text where Python cannot parse or print it."""
    try:
        return json.dumps(json.loads(line), indent=2)
    except (ValueError, RecursionError):
        return json.dumps(line, indent=2)


STRUCTURE: dict[str, dict[str, Mutation]] = {
    "csv": {**_COMMON, **_TABLES},
    "tsv": {**_COMMON, **_TABLES},
    "jsonl": {**_COMMON, **_OBJECTS},
}
"""What is done to the text of a file, by its format."""
