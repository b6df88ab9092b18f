"""What `lakehouse demo` does: it lands what is news, and makes what is stale."""

from pathlib import Path

from support.worlds import world, write

from lakehouse.definitions import definitions
from lakehouse.orchestration.catch_up import catch_up
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, count_open_letters


def test_a_refused_file_that_was_taken_away_is_withdrawn(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    here = world(tmp_path)

    def demo() -> None:
        assert catch_up(here, definitions, tmp_path / "dagster", lambda _: None) == []

    broken = write(here, "invoice_lines", "broken.csv", "no,such,columns\n1,2,3\n")
    demo()
    assert count_open_letters(here.lake) == {"raw/invoice_lines": 1}
    broken.unlink()
    demo()
    assert here.lake.scan(DEAD_LETTERS).collect()["_state"].to_list() == ["withdrawn"]
    version = here.lake.version(DEAD_LETTERS)
    demo()
    assert here.lake.version(DEAD_LETTERS) == version
