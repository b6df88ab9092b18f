"""`make bench`: the time to import this project, to load its definitions, and to run something.

The base is a Dagster project of two assets that import nothing.
"""

import argparse
import os
import sys
from pathlib import Path

from bench.beside import TARGET, Way, Work, side_by_side
from bench.measure import ROOT

_BARE = """
import dagster as dg

@dg.asset
def numbers() -> list[int]:
    return [1, 2, 3]

@dg.asset
def total(numbers: list[int]) -> int:
    return sum(numbers)

defs = dg.Definitions(assets=[numbers, total])
"""
_LOADED = "\ndefs.resolve_all_asset_specs()"


def _prepare(_: str, step: str, folder: Path) -> None:
    """Writes the bare project, and a landing folder with one file."""
    if step != "import":
        return
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (folder / "bare.py").write_text(_BARE)
    rates = folder / "landing" / "fx_rates"
    rates.mkdir(parents=True)
    (rates / "rates.csv").write_text("Date,USD,GBP\n2011-01-03,1.3348,0.8614\n")
    os.utime(rates / "rates.csv", (1_700_000_000, 1_700_000_000))


def _python(path: str, code: str) -> list[str]:
    known = (
        f"import os, sys; sys.path.insert(0, {path!r}); "
        f"os.environ.update(LAKEHOUSE_DATA={TARGET!r})"
    )
    return [sys.executable, "-W", "ignore", "-c", f"{known}\n{code}"]


def _run(path: str, *project: str, assets: str) -> list[str]:
    asked = ["asset", "materialize", *project, "--select", assets]
    known = f"os.environ.update(DAGSTER_HOME={TARGET + '/dagster'!r}); sys.argv[1:] = {asked!r}"
    return _python(path, f"{known}\nfrom dagster._cli import main\nmain()")


def work() -> Work:
    """Returns the bench: ours and a bare project, imported, loaded and run once."""
    ours, bare = str(ROOT), TARGET
    return Work(
        "start",
        "import a project, load its definitions, materialize its first assets",
        [
            Way(
                "ours",
                {
                    "import": _python(ours, "import lakehouse.definitions"),
                    "definitions": _python(
                        ours,
                        "from lakehouse.definitions import defs; defs().resolve_all_asset_specs()",
                    ),
                    "first run": _run(
                        ours, "-m", "lakehouse.definitions", assets="raw/fx_rates,staged/fx_rates"
                    ),
                },
            ),
            Way(
                "bare dagster",
                {
                    "import": _python(bare, "import bare"),
                    "definitions": _python(bare, f"from bare import defs{_LOADED}"),
                    "first run": _run(bare, "-f", f"{TARGET}/bare.py", assets="*"),
                },
            ),
        ],
        "bare dagster",
        prepare=_prepare,
        whole=True,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    side_by_side(work(), parser.parse_args().rounds)


if __name__ == "__main__":
    main()
