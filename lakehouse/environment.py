"""The environment of the engine: a lake, its landing zone and the declared tables of one place.

A place is a laptop, a test or production.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.ingest.land import Progress, ignore_progress
from lakehouse.lineage.staleness import Planner
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.storage.lake import Lake
from lakehouse.storage.message_queue import MessageQueue
from lakehouse.storage.pinned_lake import PinnedLake
from lakehouse.storage.revision import Revision
from lakehouse.tables.catalog import Catalog

LISTING_SECONDS = 300.0
"""How often all of landing is listed when a queue tells of files."""


def ignore_line(line: str) -> None:
    """Does nothing with a line."""


@dataclass(frozen=True)
class Environment:
    """A lake, its landing zone, and the tables that are declared for it.

    Attributes:
        lake: where the tables are.
        landing: where files are delivered.
        catalog: the declared tables.
        queue: where the store tells of files in landing; None if it does not.
        listing_seconds: with a queue, how often all of landing is listed all the same.
        progress: called while files are landed, for a bar on a screen.
        tell: called with a line about what is waited for, for a person at a screen.
    """

    lake: Lake
    landing: Landing
    catalog: Catalog
    queue: MessageQueue | None = field(default=None, kw_only=True)
    listing_seconds: float = field(default=LISTING_SECONDS, kw_only=True)
    # Functions are not compared: environments of the same place are equal.
    progress: Progress = field(default=ignore_progress, compare=False)
    tell: Callable[[str], None] = field(default=ignore_line, compare=False)

    def list_revisions(self) -> dict[str, Revision]:
        """Returns the latest revision of every declared table that exists."""
        revisions = {name: self.lake.revision(name) for name in self.catalog.tables}
        return {name: found for name, found in revisions.items() if found is not None}

    def list_orphans(self) -> list[str]:
        """Returns the tables of the lake that nothing declares any more, layer by layer."""
        declared = self.catalog.derived_tables
        known = {*self.catalog.tables, *(table.quarantine for table in declared)}
        known |= {DEAD_LETTERS, DELIVERIES}
        return [name for name in self.lake.tables() if name not in known]

    def create_planner(self, since: Mapping[str, Revision] | None = None) -> Planner:
        """Returns a planner that finds what is stale now.

        Args:
            since: revisions up to which no log entry has to be read; see `Planner`.
        """
        # Pinned: a planner compares many tables, and must see one state of each throughout. Handles
        # are shared, so that it opens only what changed since the last look.
        lake = self.lake
        pinned = PinnedLake(
            lake.root, lake.options, lake.single_writer, limits=lake.limits, handles=lake.handles
        )
        return Planner(pinned, self.catalog, datetime.now(UTC), since or {})
