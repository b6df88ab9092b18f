"""Decides whether runs that ended badly may be asked for again.

A run that failed by itself would fail again, so its tries are few. A run whose process was killed
may succeed the next time, so nothing may end its tries, but they become rarer.
"""

import time
from collections.abc import Sequence

import dagster as dg

from lakehouse.orchestration.dead_runs import has_died

_ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_TRIES = 3
_DEATHS = 50  # as many are counted
_LONGEST_REST = 600.0  # seconds


def may_retry(instance: dg.DagsterInstance, tags: dict[str, str]) -> bool:
    """Whether the last run with these tags failed, and may be tried again by now.

    It is after fewer than three failures of its own. A run whose process was killed is tried again
    for ever, but less and less often.
    """
    # Newest first. A run that was asked for just now may not be stored yet.
    tries = instance.get_run_records(dg.RunsFilter(tags=tags), limit=_TRIES + _DEATHS)
    if not tries or tries[0].dagster_run.status not in _ENDED_BADLY:
        return False
    died = [one for one in tries if has_died(one.dagster_run)]
    if has_died(tries[0].dagster_run):
        return _has_rested(died)
    return len(tries) - len(died) < _TRIES


def _has_rested(died: Sequence[dg.RunRecord]) -> bool:
    """Whether enough time has passed since the last of some deaths: a second, two, four."""
    # What kills each process, such as too little memory, must not do so as fast as it can.
    rest = min(2.0 ** (len(died) - 1), _LONGEST_REST)
    # A clock that went back is no reason to wait.
    return abs(time.time() - (died[0].end_time or 0.0)) >= rest


def has_lost_runs(instance: dg.DagsterInstance, tags: dict[str, str]) -> bool:
    """Whether processes of the runs with these tags were killed, and it is time to ask again."""
    asked = instance.get_run_records(dg.RunsFilter(tags=tags), limit=_DEATHS)
    died = [one for one in asked if has_died(one.dagster_run)]
    return bool(died) and _has_rested(died)
