"""What people do to tables between deliveries: compactions and restores."""

from random import Random

from lakehouse.environment import Environment
from lakehouse.operations.restore import RestoreRequest, restore
from lakehouse.operations.restore_plan import plan_restore

REJECTED = "quarantine/"


def disturb(here: Environment, random: Random) -> None:
    """Compact a table, or roll one back: by delta-rs alone or by `lakehouse restore`."""
    table = random.choice([name for name in here.lake.tables() if name != "quarantine/deliveries"])
    handle, kind = here.lake.open(table), random.choice(["compact", "plainly", "restore"])
    version = random.randrange(handle.version()) if handle.version() else None
    if kind == "compact":
        handle.optimize.compact()
    elif version is None:
        return
    elif kind == "plainly" or table.startswith(REJECTED):
        handle.restore(version)
    elif not (found := plan_restore(here, table, version)).is_noop:
        restore(here, found, RestoreRequest("somebody"))
