"""The errors of this lakehouse, split by what the operator does next.

    LakehouseError
    ├── SetupError      fix the configuration, the contract or the transform, then run again
    ├── DataError       fix the data at its source, or the contract that refuses it
    ├── BusyError       another writer committed at the same time: wait and run again
    │   └── OutageError     the store does not answer: run again when it does
    └── LawError        the row counts do not add up: never retry, report it

A message names the table, the partition, the place and the next step, and lists every problem at
once.
"""

from collections.abc import Iterable

from lakehouse.url_secrets import hide_url_secrets

REPORT_IT = "Next: report this as a bug of the engine; running it again cannot help."


class LakehouseError(Exception):
    """A refusal by this lakehouse, with the reason and the next step.

    Its message shows no secret that stands in an address: it is printed, logged and stored.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_url_secrets(message))


class SetupError(LakehouseError):
    """The configuration, a contract or a transform is wrong; no data was touched."""


class DataError(LakehouseError):
    """The data broke a promise; what the message names was not published, whatever else was."""


class BusyError(LakehouseError):
    """Another writer committed first; the same call may succeed when it is repeated."""


# A BusyError, so that whatever repeats a disturbed call repeats this one as well.
class OutageError(BusyError):
    """The store did not answer; the same call may succeed when it does."""


class LawError(LakehouseError):
    """A law of accounting was broken; nothing was published, and trying again cannot help."""


def list_problems(headline: str, problems: Iterable[str], next_step: str) -> str:
    """Returns one message: a headline, a line for each problem, and what to do next."""
    return "\n".join([headline, *(f"  - {problem}" for problem in problems), f"Next: {next_step}"])


def indent_problem(message: str, *, keeps_next_step: bool = False) -> str:
    """Returns a message as one problem in a list, its details indented.

    Args:
        message: the message; it may list problems itself.
        keeps_next_step: whether its own next step stays, beside that of the list.
    """
    lines = message.splitlines()
    first, *others = [line for line in lines if keeps_next_step or not line.startswith("Next: ")]
    return "\n".join([first, *(f"    {line.strip()}" for line in others)])


def summarize_error(error: Exception) -> str:
    """Returns the message of another library's error in one line, without its plans and stacks.

    Polars separates the parts of a message by blank lines. The first part and its suggestion of a
    similar name are kept.
    """
    # What follows the first blank line is a plan or a stack, often longer than a screen.
    first, *others = str(error).split("\n\n")
    suggestions = (part for part in others if part.startswith("Did you mean"))
    return hide_url_secrets(" ".join(" ".join([first, *suggestions]).split()))
