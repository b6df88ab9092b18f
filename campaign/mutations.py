"""Mutations of the bytes of any file."""

from collections.abc import Callable
from random import Random

Mutation = Callable[[Random, bytes], bytes]


def choose_position(random: Random, content: bytes) -> int:
    """Returns a random position in a file; its end counts."""
    return random.randrange(len(content) + 1)


def _insert(what: Callable[[Random], bytes]) -> Mutation:
    def apply(random: Random, content: bytes) -> bytes:
        place = choose_position(random, content)
        return content[:place] + what(random) + content[place:]

    return apply


def _flip(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 8, 64])):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _remove(random: Random, content: bytes) -> bytes:
    start = choose_position(random, content)
    return content[:start] + content[start + random.randint(1, 200) :]


def _repeat(random: Random, content: bytes) -> bytes:
    start = choose_position(random, content)
    part = content[start : start + random.randint(1, 400)]
    return content[:start] + part * random.choice([2, 2, 3, 20]) + content[start + len(part) :]


def _swap(random: Random, content: bytes) -> bytes:
    first, second, third = sorted(choose_position(random, content) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def _blank(random: Random, content: bytes) -> bytes:
    start, size = choose_position(random, content), random.randint(1, 100)
    return content[:start] + bytes(size) + content[start + size :]


BYTES: dict[str, Mutation] = {
    "bits flipped": _flip,
    "cut off": lambda random, content: content[: choose_position(random, content)],
    "beginning cut off": lambda random, content: content[choose_position(random, content) :],
    "bytes inserted": _insert(lambda random: random.randbytes(random.choice([1, 2, 9, 300]))),
    "bytes removed": _remove,
    "part repeated": _repeat,
    "parts swapped": _swap,
    "zeros": _blank,
    "NUL inserted": _insert(lambda _: b"\0"),
    "quote inserted": _insert(lambda _: b'"'),
    "line end inserted": _insert(
        lambda random: random.choice([b"\n", b"\r", b"\r\n", b"\n\n\n", b"\x85", b"\x0b\x0c"])
    ),
    "separators inserted": _insert(
        lambda random: random.choice([b",", b"\t", b";"]) * random.choice([1, 3, 50])
    ),
    "control characters": _insert(lambda _: b"\x01\x02\x1a\x1b\x7f"),
    "not UTF-8": _insert(
        lambda random: random.choice(
            [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"]
        )
    ),
    "mark inside": _insert(lambda _: b"\xef\xbb\xbf"),
    "long field": _insert(lambda random: b"z" * random.choice([5_000, 70_000])),
}
"""What is done to bytes, whatever they are."""
