"""What people declare about delivered files: options that do not fit together are refused."""

import pytest

from lakehouse.errors import SetupError
from lakehouse.tables import Files


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"format": "word"}, "format is 'word'"),
        ({"format": "json", "separator": ";"}, "`separator` does not apply to json"),
        ({"format": "fixed"}, "`widths` belong together"),
        ({"widths": {"id": 3}}, "`widths` belong together"),
        ({"format": "fixed", "widths": {"id": 0}}, "the width of id"),
        ({"separator": ";;"}, "one ASCII character"),
        ({"separator": "\n"}, "no line end"),
        ({"separator": '"'}, "have to differ"),
        ({"encoding": "klingon"}, "encoding 'klingon' is unknown"),
        ({"skip_lines": -1}, "0 or more"),
        ({"comment": ""}, "`comment` is empty"),
        ({"parents": {"id": "a[].id"}}, "`parents` needs `records`"),
        ({"time_zone": "Mars/Olympus"}, "time_zone 'Mars/Olympus' is unknown"),
        ({"name": "("}, "no regular expression"),
        ({"name": "[0-9]+"}, "no named group"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, problem) -> None:
    with pytest.raises(SetupError, match="Files") as caught:
        Files(**options)
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SetupError) as caught:
        Files(separator=";;", encoding="klingon")
    assert "separator" in str(caught.value)
    assert "klingon" in str(caught.value)
