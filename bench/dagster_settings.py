"""`dagster.yaml` as it is, and with the optional storage that writes events in batches."""

import re

from bench.measure import ROOT


def settings(*, is_batched: bool = False) -> str:
    """Returns the text of `dagster.yaml`, with the optional storage switched on if requested."""
    text = (ROOT / "dagster.yaml").read_text()
    return re.sub(r"(?m)^#(?=storage:|  )", "", text) if is_batched else text
