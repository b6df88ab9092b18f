"""Names for Python and SQL, made of the names in a file."""

import keyword
import re
import unicodedata
from collections.abc import Sequence

_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "ł": "l"}
)
_TAKEN = frozenset(
    {"columns", "validate", "schema", "to_schema", "to_yaml", "example", "strategy", "empty"}
    | {"get_metadata", "pydantic_validate", "to_json_schema", "table", "config", "rows", "col"}
    | {"date", "pl", "index", "match", "case", "type"}
)
"""Names that mean something in a contract or in the file that is written."""


def make_names(names: Sequence[str]) -> list[str]:
    """Returns a name for each column: small letters, digits and underscores, each once."""
    made: list[str] = []
    for name in names:
        first = make_name(name)
        tries = [first, *(f"{first}_{number}" for number in range(2, len(names) + 2))]
        made.append(next(one for one in tries if one not in made))
    return made


def make_name(name: str) -> str:
    """Returns a name as columns and tables are called here, such as `invoice_no`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    spelled = parted.lower().translate(_SPELLED)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    made = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "column"
    if made[0].isdigit():
        made = f"n_{made}"
    return f"{made}_value" if keyword.iskeyword(made) or made in _TAKEN else made


def make_class_name(name: str) -> str:
    """Returns the name of a class for one row of a table, such as `OrderLine`."""
    single = re.sub(r"(?<=[a-z])ies$", "y", make_name(name))
    single = re.sub(r"(?<=[a-rt-z])s$", "", single)
    return "".join(part.capitalize() for part in single.split("_"))
