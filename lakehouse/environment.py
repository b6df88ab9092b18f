"""What the engine works on in one place: a laptop, a test, production. Put together by `definitions.py`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.catalog import Catalog
from lakehouse.lake import Lake
from lakehouse.sources.landing import Landing
from lakehouse.staleness import Planner


@dataclass(frozen=True)
class Environment:
    """A lake, its landing zone, and the tables that are declared for it."""

    lake: Lake
    landing: Landing
    catalog: Catalog

    def planner(self, since: dict[str, int] | None = None) -> Planner:
        """Finds what is stale now; `since` spares old log entries, see `Planner`."""
        return Planner(self.lake, self.catalog, datetime.now(UTC), since or {})
