"""Make sample data from the command line, and print what a lakehouse has to find in it."""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

from samples.files import PREFIX
from samples.retail import find_today, generate, generate_latest
from samples.truth import Truth


def main(arguments: list[str] | None = None) -> int:
    """Write the files and print the truth; an exit code as the shell wants it."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        truth = (
            generate(asked.out, asked.days, asked.rows, asked.seed, asked.start)
            if asked.start
            else generate_latest(asked.out, find_today(), asked.days, asked.rows, asked.seed)
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if asked.json:
        print(json.dumps(truth.as_json(), indent=2))
    else:
        print("\n".join(truth.lines()))
    if others := _others(asked.out, truth):
        print(
            f"Not counted, from another run: {len(others)} files, first {others[0]}",
            file=sys.stderr,
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samples", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("data/landing"), help="landing folder (%(default)s)"
    )
    parser.add_argument("--days", type=int, default=60, help="calendar days (%(default)s)")
    parser.add_argument(
        "--rows", type=int, default=400, help="invoice lines on a mean day (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="the same one gives the same bytes (%(default)s)"
    )
    parser.add_argument(
        "--start", type=date.fromisoformat, help="first day; without it, the days end before today"
    )
    parser.add_argument(
        "--domain", choices=["retail"], default="retail", help="what to make (%(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the truth as JSON, with files and days"
    )
    return parser


def _others(out: Path, truth: Truth) -> list[str]:
    """Sample files in the folder that the truth does not count."""
    made = truth.invoice_lines.by_file.keys() | truth.invoice_lines.copies.keys()
    found = {path.name for path in (out / "invoice_lines").glob(f"{PREFIX}*")}
    return sorted(found - made)


if __name__ == "__main__":
    sys.exit(main())
