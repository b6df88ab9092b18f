"""Landing and making while a proxy injures requests to the bucket: what must hold, as a function of a seed.

`run(server, folder, seed)` is one trial: it says what was tried, and raises `AssertionError` where a law does not hold.
`trials(seeds)` makes many of them, with a server and sample files of their own.
"""

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError
from lakehouse.make import make
from samples import generate
from support.buckets import bucket_world, make_bucket, put_all
from support.s3_proxy import AFTER, Plan, flaky, on_commit, outage, proxied, sound
from support.s3_server import serving
from support.worlds import NOW, content, deliver, land_all, world

MADE = ("staged/fx_rates", "staged/invoice_lines", "marts/daily_sales")
_COMMITS = 7
_REQUESTS = 300


@dataclass(frozen=True)
class Outcome:
    """What one trial did.

    Attributes:
        seed: what it follows from.
        plan: the faults that were planned, in words.
        met: how many requests met a fault.
        failed: the error by which the disturbed run ended; None if it went through.
    """

    seed: int
    plan: str
    met: int
    failed: str | None


def planned(seed: int) -> tuple[str, Plan]:
    """The faults of a seed, in words and as a plan."""
    dice = random.Random(seed)
    match seed % 3:
        case 0:
            turn, fault = dice.randrange(_COMMITS), dice.choice(AFTER)
            return f"commit {turn}: {fault}", on_commit(turn, fault)
        case 1:
            share = dice.choice((0.02, 0.1))
            return f"{share:.0%} of all requests", flaky(seed, share)
        case _:
            after, fault = dice.randrange(_REQUESTS), dice.choice(("500", "reset", "lost"))
            return f"from request {after} on: {fault}", outage(after, fault)


def work(here: Environment) -> None:
    """Land everything, and make a chain of tables from it."""
    land_all(here)
    for table in MADE:
        make(here.lake, here.catalog, table, now=NOW)


def run(server: str, folder: Path, seed: int) -> Outcome:
    """One trial: a disturbed run, an undisturbed one after it, and what must hold then.

    Args:
        server: the URL of an S3 API server.
        folder: sample files.
        seed: what the faults follow from.
    """
    bucket, (words, plan) = make_bucket(server, f"faults-{seed}-{random.randrange(1 << 40)}"), planned(seed)
    with proxied(server) as proxy:
        here = bucket_world(proxy.url, bucket, timeout="1s")
        put_all(here, folder)
        proxy.silence, proxy.plan = 1.5, plan
        failed = _failure(lambda: work(here))
        met = sum(proxy.met.values())
        proxy.plan = sound
    sane = bucket_world(server, bucket)
    work(sane)
    assert figures(sane) == undisturbed(folder), f"seed {seed}, {words}: the tables are not those of a sound run"
    return Outcome(seed, words, met, failed)


def trials(seeds: Iterable[int]) -> Iterator[Outcome]:
    """A trial for each seed."""
    with serving() as server, tempfile.TemporaryDirectory(prefix="lakehouse-") as folder:
        days = Path(folder) / "days"
        generate(days, days=3, rows=12, seed=7)
        yield from (run(server, days, seed) for seed in seeds)


def _failure(attempt: Callable[[], None]) -> str | None:
    """The error by which a run ends, which has to be one that says what to do; None if it ends well."""
    try:
        attempt()
    except LakehouseError as error:
        assert "Next: " in str(error), error  # noqa: PT017, any error may end a run, if it says what to do
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def figures(here: Environment) -> dict[str, object]:
    """What must not depend on faults: the content of the tables, each raw row once, and dead letters."""
    found: dict[str, object] = {table: content(here, table) for table in MADE}
    for raw in here.catalog.raw():
        rows = here.lake.scan(raw.name).select(pl.col("_source"), pl.col("_offset")).collect()
        assert rows.is_duplicated().sum() == 0, raw.name
        found[raw.name] = sorted(rows.group_by("_source").len().rows())
    return found


_sound: dict[Path, dict[str, object]] = {}


def undisturbed(folder: Path) -> dict[str, object]:
    """The same of a run on a local folder without faults."""
    if folder not in _sound:
        here = world(folder.with_name(f"{folder.name}-undisturbed"))
        for table in ("invoice_lines", "fx_rates"):
            deliver(here, table, *sorted((folder / table).iterdir()))
        work(here)
        _sound[folder] = figures(here)
    return _sound[folder]
