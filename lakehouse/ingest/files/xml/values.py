"""The values of one XML element as text, by the names of its attributes and elements.

| in the element | value |
|---|---|
| attribute, element with text alone | its text as it is, with its outer blanks |
| empty element | an empty text; null with `xsi:nil="true"` |
| elements of one name | a JSON list |
| element with attributes or elements | a JSON object; its own text is its `text` |

Names are those without a namespace. Blanks behind a key tell apart what has the same name:
attributes come before elements, and namespaces in the order of the file.
"""

import json
from typing import Any

NAMESPACE_MARK = "\n"
"""What stands between a namespace and a name; no name of either has it."""

_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance" + NAMESPACE_MARK
_OWN_TEXT = "text\u2003"
"""The key of an element's own text, behind an attribute or element `text`."""

_BLANKS = " \t\r\n"
_quote = json.JSONEncoder(ensure_ascii=False).encode
Members = dict[str, Any]


class _Texts(list[str]):
    """Parts of an element's own text."""


class ElementValues:
    """Collects one element after another, each with all that it holds.

    Attributes:
        pieces: takes the parts of a text as they come.
        depth: how many elements are open within the one that is collected.
    """

    def __init__(self) -> None:
        """Begins without an element."""
        self.pieces: list[str] = []
        self._members: list[Members | None] = []
        self._nil: set[int] = set()
        self._keys: dict[str, str] = {}
        self._attribute_keys: dict[str, str] = {}
        self._spaces: dict[str, list[str]] = {}

    @property
    def depth(self) -> int:
        """How many elements are open within the one that is collected."""
        return len(self._members) - 1

    def begin(self, attributes: list[str]) -> None:
        """Begins an element."""
        self.drop()
        self._open(attributes)

    def drop(self) -> None:
        """Forgets what was collected."""
        self.pieces.clear()
        self._members.clear()
        self._nil.clear()

    def open(self, attributes: list[str]) -> None:
        """Opens an element within."""
        if self.pieces:
            self._keep_text()
        self._open(attributes)

    def close(self, name: str) -> None:
        """Closes an element within."""
        value = self._take()
        above = self._members[-1]
        if above is None:
            above = self._members[-1] = {}
        key = self._keys.get(name) or self._make_key(self._keys, name, " ")
        if key not in above:
            above[key] = value
        elif type(known := above[key]) is list:
            known.append(value)
        else:
            above[key] = [known, value]

    def finish(self) -> Members:
        """Returns the members of the element, by key; see `write_members`."""
        if self.pieces:
            self._keep_text()
        members = self._members.pop()
        return {} if members is None else members

    def finish_value(self) -> Any:  # noqa: ANN401 - a text, or members
        """Returns the value of the element."""
        return self._take()

    def _open(self, attributes: list[str]) -> None:
        if not attributes:
            self._members.append(None)
            return
        members: Members = {}
        for place in range(0, len(attributes), 2):
            name, value = attributes[place], attributes[place + 1]
            if name.startswith(_INSTANCE):
                # Notes for the program that reads: types, schemas, and whether it is null.
                if name == f"{_INSTANCE}nil" and value.strip() in ("true", "1"):
                    self._nil.add(len(self._members))
                continue
            keys = self._attribute_keys
            members[keys.get(name) or self._make_key(keys, name, "")] = value
        self._members.append(members or None)

    def _take(self) -> Any:  # noqa: ANN401 - a text, or members
        pieces = self.pieces
        if pieces and self._members[-1] is not None:
            self._keep_text()
        members = self._members.pop()
        is_nil = False
        if self._nil:
            place = len(self._members)
            is_nil = place in self._nil
            self._nil.discard(place)
        if members is not None:
            return members
        text = "".join(pieces)
        pieces.clear()
        return None if is_nil and not text else text

    def _keep_text(self) -> None:
        """Takes a part of the own text of the innermost element; blanks for the layout are none."""
        text = "".join(self.pieces)
        self.pieces.clear()
        if text.strip(_BLANKS):
            members = self._members[-1]
            if members is None:
                members = self._members[-1] = {}
            members.setdefault(_OWN_TEXT, _Texts()).append(text)

    def _make_key(self, keys: dict[str, str], name: str, mark: str) -> str:
        space, _, local = name.rpartition(NAMESPACE_MARK)
        known = self._spaces.setdefault(mark + local, [])
        if space not in known:
            known.append(space)
        keys[name] = key = f"{local}{'  ' * known.index(space)}{mark}"
        return key


def write_members(members: Members) -> dict[str, str | None]:
    """Returns the members of an element as text, by key."""
    return {
        key: value if type(value) is str else write_value(value) for key, value in members.items()
    }


def write_value(value: Any) -> str | None:  # noqa: ANN401 - a text, or members
    """Returns a value as text: a text as it is, others as JSON."""
    if value is None or isinstance(value, str):
        return value
    return "".join(value) if isinstance(value, _Texts) else _write(value)


def find_member(value: Any, name: str) -> Any:  # noqa: ANN401 - a text, or members
    """Returns a member of a value by its name; None if it has none."""
    if not isinstance(value, dict):
        return None
    return next((value[key] for key in sorted(value) if key.rstrip() == name), None)


def _write(value: Any) -> str:  # noqa: ANN401 - a text, or members
    if isinstance(value, dict):
        named: dict[str, Any] = {}
        for key in sorted(value, key=lambda key: key[len(key.rstrip()) :]):
            name, number = key.rstrip(), 1
            while name in named:
                number += 1
                name = f"{key.rstrip()}_{number}"
            named[name] = value[key]
        return "{" + ",".join(f"{_quote(name)}:{_write(one)}" for name, one in named.items()) + "}"
    if isinstance(value, _Texts):
        return _quote("".join(value))
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    return "null" if value is None else _quote(value)
