"""The last step of `make bench`: writes the results and plots into `docs/benchmarks.md`.

The text between `<!-- name -->` and `<!-- /name -->` is replaced. People write the text around it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.figures import RESULTS
from bench.measure import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
_LEAST_LEFT, _LETTER, _WIDTH, _BAR, _GAP = 200, 6.7, 720, 18, 8
_OURS, _OTHERS, _RANGE = "#2f6f9f", "#b8c4cc", "#30363d"


def plot(title: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns an SVG: bars for the seconds of each way, thin lines for the range of the rounds.

    Args:
        title: what is drawn.
        lines: `bench.beside.Line` as mappings.
    """
    height = 40 + len(lines) * (_BAR + _GAP) + 10
    longest = max(line["most"] for line in lines) or 1.0
    names = [
        f"{line['step']}: {line['way']}" if line["step"] != "all" else line["way"] for line in lines
    ]
    left = max(_LEAST_LEFT, round(_LETTER * max(map(len, names))))
    scale = (_WIDTH - left - 90) / longest
    size, text = f'width="{_WIDTH}" height="{height}"', 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {text}>',
        f'<rect {size} fill="white"/>',
        f'<text x="10" y="20" font-size="14">{escape(title)}</text>',
    ]
    for number, (name, line) in enumerate(zip(names, lines, strict=True)):
        top = 34 + number * (_BAR + _GAP)
        middle = top + _BAR / 2
        colour = _OURS if line["way"].startswith("ours") else _OTHERS
        low, high = left + line["least"] * scale, left + line["most"] * scale
        bar = max(line["seconds"] * scale, 1)
        parts += [
            f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{top}" width="{bar:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{_RANGE}"/>',
            f'<text x="{high + 6:.1f}" y="{middle + 4}">{line["seconds"]:.2f} s</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns the figures of each way as Markdown."""
    head = (
        "| step | way | s | range | ratio | range "
        "| CPU s | peak MiB | written MiB | files | commits |"
    )
    rows = [
        f"| {line['step']} | {line['way']} | {line['seconds']:.2f} "
        f"| {line['least']:.2f} to {line['most']:.2f} "
        f"| {line['ratio']:.2f} | {line['ratio_least']:.2f} to {line['ratio_most']:.2f} "
        f"| {line['cpu_seconds']:.1f} | {line['peak_mib']:,.0f} | {line['written_mib']:,.0f} "
        f"| {line['files']:,.0f} | {line['commits']:,.0f} |"
        for line in lines
    ]
    return "\n".join([head, "|---" * 2 + "|--:" * 9 + "|", *rows])


def format_pairs(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Returns the further comparisons as Markdown; empty if there are none."""
    rows = [
        f"| {pair['one']} | {pair['other']} | {pair['seconds']:.2f} "
        f"| {pair['least']:.2f} to {pair['most']:.2f} "
        f"| {pair['cpu_seconds']:.2f} | {pair['peak_mib']:.2f} |"
        for pair in pairs
    ]
    head = ["| this | to that | x s | range | x CPU s | x peak |", "|---" * 2 + "|--:" * 4 + "|"]
    return "\n".join([*head, *rows, "", ""]) if pairs else ""


def section(result: Mapping[str, Any]) -> str:
    """Returns the section of the page for one bench."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    peers = "".join(
        f"; {peer}: {', '.join(pinned)}" for peer, pinned in result.get("peers", {}).items()
    )
    name, rounds = result["name"], result["rounds"]
    return (
        f"![{result['title']}](benchmarks/{name}.svg)\n\n{table(result['lines'])}\n\n"
        f"{format_pairs(result.get('pairs', ()))}{result['note'] + ' ' if 'note' in result else ''}"
        f"{rounds} round{'s' if rounds > 1 else ''} on {result['day']}, "
        f"ratios to {result['base']}. "
        f"{result['machine']}; commit {result['commit']}; {versions}{peers}."
    )


def write(page: Path, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Writes results and plots into the page; returns the names that have no place in it."""
    text, lost = page.read_text(), []
    PLOTS.mkdir(exist_ok=True)
    for result in results:
        name = result["name"]
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            lost.append(name)
            continue
        text = place.sub(
            lambda found: f"{found[1]}{section(result)}\n{found[2]}",  # noqa: B023
            text,
        )
        (PLOTS / f"{name}.svg").write_text(plot(result["title"], result["lines"]))
    page.write_text(text)
    return lost


def main() -> None:
    """The command line."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    lost = write(PAGE, results)
    print(
        f"{PAGE}: {len(results) - len(lost)} benches"
        + (f"; without a place: {', '.join(lost)}" if lost else "")
    )


if __name__ == "__main__":
    main()
