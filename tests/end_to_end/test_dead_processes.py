"""Real processes of Dagster are killed under the UI's daemon, and the next ones go on by themselves."""

import pytest

from campaign.processes import COMMANDS, SERVICES, Processes
from campaign.tally import Tally


@pytest.fixture
def killing(tmp_path):
    return Processes(tmp_path, Tally("law", print))


@pytest.mark.full
@pytest.mark.slow("the daemon, the code server and the UI are processes that import everything")
@pytest.mark.parametrize("way", [*COMMANDS, *SERVICES])
def test_whatever_is_killed_the_next_start_frees_it_and_ends_as_if_undisturbed(killing, way):
    killing.run([way], range(1, 11))
    assert killing.tally.found == []
    assert any("killed" in what for what in killing.tally.tried)
