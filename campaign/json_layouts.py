"""The ways in which programs write records as JSON."""

from collections.abc import Callable, Mapping, Sequence

Records = Sequence[Mapping[str, str | None]]
Dump = Callable[..., str]
LAYOUTS: Mapping[str, Callable[[Records, Dump], tuple[str, str | None]]] = {
    "lines": lambda records, dump: ("".join(dump(one) + "\n" for one in records), None),
    "array": lambda records, dump: (dump(records), None),
    "pretty array": lambda records, dump: (dump(records, indent=2), None),
    "array of lines": lambda records, dump: (
        "[\n" + ",\n".join(dump(one) for one in records) + "\n]\n",
        None,
    ),
    "pretty objects": lambda records, dump: (
        "\n".join(dump(one, indent=4) for one in records),
        None,
    ),
    "concatenated": lambda records, dump: ("".join(dump(one) for one in records), None),
    "wrapped": lambda records, dump: (
        dump({"status": "ok", "data": {"count": len(records), "items": records}, "next": None}),
        "data.items[]",
    ),
    "wrapped and pretty": lambda records, dump: (
        dump({"meta": {"page": 1}, "results": records}, indent=2),
        "results[]",
    ),
}
"""Each layout: records as text, and the path of the records in it; None for the top."""
