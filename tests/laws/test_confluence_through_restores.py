"""Law 3 with compactions and restores between deliveries that come in any order, batching and repetition."""

from random import Random

import pytest
from disturbing import disturb
from support.sizes import first
from support.worlds import bring_up_to_date, contents, world
from tills import lines, rows, sell, till

FILES = {
    str(n): lines(3 + n % 4, n, 10 + n, *([-1] if n % 3 == 0 else []), first=10 * n)
    for n in range(1, 7)
}
FILES["late"] = lines(3, 5, first=90) + "91,never,north,2\n"
FILES["dead"] = f"{lines(4, 6, first=95)}96,too,short\n"
KEPT = ("quarantine/staged_sales", "quarantine/dead_letters")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    here = world(tmp_path_factory.mktemp("undisturbed"), till())
    for name, text in FILES.items():
        sell(here, name, text)
    bring_up_to_date(here)
    return here


@pytest.mark.parametrize("seed", first(1, range(4)))
def test_deliveries_in_any_order_between_restores_and_compactions_end_in_the_same_content(
    shop, undisturbed, seed
):
    random = Random(seed)
    names = [*FILES, *random.sample([*FILES], 2)]
    random.shuffle(names)
    for number, name in enumerate(names):
        sell(shop, f"{name}-again" if name in names[:number] else name, FILES[name])
        if random.random() < 0.6:
            bring_up_to_date(shop)
            disturb(shop, random)
    bring_up_to_date(shop)
    assert contents(shop) == contents(undisturbed)
    assert shop.create_planner().find_stale_tables() == []
    offsets = shop.lake.scan("raw/sales").select("_source", "_offset").collect()
    assert (offsets.height, offsets.is_duplicated().any()) == (
        len(rows(undisturbed, "raw/sales")),
        False,
    )
    assert [counted(shop, name) for name in KEPT] == [counted(undisturbed, name) for name in KEPT]


def counted(here, table):
    """Counts the rows of each record in a quarantine; files may have been delivered under another name."""
    return sorted(here.lake.scan(table).select("_offset").collect().to_series().to_list())
