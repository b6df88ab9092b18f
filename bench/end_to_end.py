"""`python -m bench.end_to_end`: a year of a shop, from landed files to three marts.

It runs beside dlt with dbt on DuckDB.

The work is the 305 real days of `online_retail` and one table of rates of the ECB. A way gets them
in two steps: all days but the last into an empty place, then the last day on top. The seconds are
those of whole processes, imports included, as a scheduler would start them. All ways must produce
the same figures.
"""

import argparse
import shlex
import shutil
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from bench import retail
from bench.beside import OUT, TARGET, Way, Work, list_installable, side_by_side
from bench.measure import ROOT
from bench.venvs import PEERS, python_of
from lakehouse.observe import sql
from samples.retail import generate

SHARED = ROOT.parent / "shared" / "data"
STEPS = ("cold", "one more day")
_NEEDED = ("online_retail", "ecb_fx")
OURS, OURS_BY_DAGSTER, PEER = "ours", "ours, dagster", "dlt + dbt"
_FIGURES = {
    "daily_sales": "round(sum(revenue_gbp), 2), round(sum(revenue_eur), 1), sum(units), "
    "sum(returns), sum(lines), "
    "sum(invoices), round(sum(revenue_gbp_7d_mean), 2), min(sales_date), max(sales_date), "
    "count(DISTINCT country)",
    "product_months": "round(sum(revenue_gbp), 2), sum(units), sum(lines), sum(invoices), "
    "sum(customers)",
    "customers": "round(sum(monetary_gbp), 2), sum(frequency), sum(returns), sum(lines), "
    "sum(recency_days)",
}
"""What is compared of each mart, beside its rows."""


@dataclass(frozen=True)
class Deliveries:
    """The files that are delivered.

    Attributes:
        days: a file of invoice lines for each day, oldest first.
        rates: the file of the exchange rates.
    """

    days: tuple[Path, ...]
    rates: Path

    def put(self, way: str, step: str, folder: Path) -> None:
        """Delivers the files of a step; the modification time of each is that of its delivery."""
        _ = way
        invoices = folder / "landing" / "invoice_lines"
        invoices.mkdir(parents=True, exist_ok=True)
        for file in self.days[:-1] if step == STEPS[0] else self.days[-1:]:
            shutil.copyfile(file, invoices / file.name)
        if step == STEPS[0]:
            rates = folder / "landing" / "fx_rates"
            rates.mkdir()
            shutil.copyfile(self.rates, rates / self.rates.name)


def real_days(days: int | None) -> Deliveries:
    """Returns the first real days from the folder next to the checkout."""
    files = sorted((SHARED / "online_retail" / "by_day").glob("*.csv.gz"))
    return Deliveries(tuple(files[:days]), max((SHARED / "ecb_fx").glob("*.zip")))


def sample_days(days: int | None, folder: Path) -> Deliveries:
    """Writes sample days into a folder: a number of calendar days, 60 by default."""
    generate(folder, days=days or 60)
    return Deliveries(
        tuple(sorted((folder / "invoice_lines").glob("*.csv.gz"))),
        max((folder / "fx_rates").glob("*.zip")),
    )


def read_figures(way: str, step: str, folder: Path) -> Hashable:
    """Returns the figures of the three marts as a way has made them."""
    _ = step
    if way == PEER:
        with duckdb.connect(folder / "retail.duckdb", read_only=True) as connection:
            return tuple(
                _plain(name, connection.sql(_question(name, "main")).fetchone())
                for name in _FIGURES
            )
    lake = retail.here(folder).lake
    return tuple(
        _plain(name, next(iter(sql.run_query(lake, _question(name, "marts"))[1])))
        for name in _FIGURES
    )


def _question(mart: str, schema: str) -> str:
    return f"SELECT count(*), {_FIGURES[mart]} FROM {schema}.{mart}"


def _plain(mart: str, found: Sequence[object] | None) -> Hashable:
    """Returns figures as types that compare equal, whatever types a way returns."""
    return (
        mart,
        *(
            float(value) if isinstance(value, int | float | Decimal) else str(value)
            for value in found or ()
        ),
    )


def ways(*, has_peer: bool = True) -> list[Way]:
    """Returns our way, our way by Dagster, and the peer."""
    ours = (sys.executable, "-W", "ignore", "-m", "bench.retail", "--home", TARGET)
    commands = {OURS: ours, OURS_BY_DAGSTER: (*ours, "--dagster")}
    found = [Way(name, dict.fromkeys(STEPS, command)) for name, command in commands.items()]
    return [
        *found,
        *(
            list_installable({PEER: lambda: Way(PEER, dict.fromkeys(STEPS, peer_command()))})
            if has_peer
            else ()
        ),
    ]


def peer_command() -> tuple[str, ...]:
    """Returns the command that loads by dlt, then builds and tests by dbt, as a scheduler would.

    Raises:
        RuntimeError: one of them cannot be installed.
    """
    load = [str(python_of("dlt")), str(PEERS / "dlt" / "retail.py"), TARGET]
    project = str(PEERS / "dbt" / "retail")
    told = [
        "--project-dir",
        project,
        "--profiles-dir",
        project,
        "--target-path",
        f"{TARGET}/target",
    ]
    quiet = [
        "--log-path",
        f"{TARGET}/logs",
        "--quiet",
        "--no-send-anonymous-usage-stats",
        "--no-version-check",
    ]
    build = [str(python_of("dbt").with_name("dbt")), "build", *told, *quiet]
    return (
        "sh",
        "-c",
        f"{shlex.join(load)} && {shlex.join(['env', f'RETAIL_HOME={TARGET}', *build])}",
    )


def work(deliveries: Deliveries, kind: str, *, is_all: bool = False, has_peer: bool = True) -> Work:
    """Returns the bench on some deliveries; only all real days replace the kept result."""
    days = len(deliveries.days)
    name = "end-to-end" if kind == "real" and is_all else f"end-to-end-{days}-{kind}"
    title = f"{days} {kind} days, from landing to three marts"
    return Work(
        name, title, ways(has_peer=has_peer), OURS, read_figures, deliveries.put, whole=True
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--samples", action="store_true", help="invented days rather than the real ones"
    )
    parser.add_argument("--days", type=int, help="only so many days")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    is_real = not given.samples and all((SHARED / name).is_dir() for name in _NEEDED)
    if not given.samples and not is_real:
        print(
            f"The real days are missing: {' and '.join(_NEEDED)} belong into {SHARED}. "
            "Invented ones are used."
        )
    samples = OUT / f"retail-{given.days or 60}"
    deliveries = real_days(given.days) if is_real else sample_days(given.days, samples)
    kind = "real" if is_real else "invented"
    side_by_side(work(deliveries, kind, is_all=given.days is None), given.rounds)


if __name__ == "__main__":
    main()
