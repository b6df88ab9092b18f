"""Some records and files are poisoned: everything else is published as if they were not. `make campaign` runs more."""

import pytest
from support.sizes import full

from campaign.poison import Poison, build_plan
from campaign.poisons import FILES, VALUES
from campaign.tally import Tally


@pytest.mark.parametrize("seeds", [range(1, 4), full(range(4, 24))], ids=str)
def test_what_is_not_poisoned_is_published_and_what_is_poisoned_is_named(tmp_path, seeds):
    tally = Tally("law", print)
    Poison(tmp_path, tally).run(seeds)
    assert tally.found == []
    assert tally.tried["world"] == len(seeds)


def test_a_hundred_worlds_try_every_poison():
    plans = [build_plan(seed) for seed in range(1, 101)]
    tried = {name for one in plans for name in (*one.poisoned.values(), *one.odd_files.values())}
    assert len(tried) > 0.9 * len({*VALUES, *FILES})
    assert len({*VALUES, *FILES}) >= 40


def test_the_worlds_see_a_poison_that_passes(tmp_path, monkeypatch):
    passing = {name for name, (_, _, may_pass) in VALUES.items() if may_pass}
    seed = next(n for n in range(1, 100) if passing & set(build_plan(n).poisoned.values()))
    for name in passing:
        monkeypatch.setitem(VALUES, name, (*VALUES[name][:2], False))
    tally = Tally("law", print)
    Poison(tmp_path, tally).run([seed])
    assert any("is published" in found for found in tally.found)
