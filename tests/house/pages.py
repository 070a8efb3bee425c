"""The pages of docs/ that are made from the source, so that they cannot drift from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from failoverd.config.page import page as configuration
from failoverd.core import machine
from failoverd.core.diagnosis import ROWS
from failoverd.core.machine import COMMANDED, transitions
from failoverd.core.states import StateName, name_of
from failoverd.observability.metrics import Metrics
from tests.house.manual import completion, manual

MADE = "\nThis page is made from the source (`make docs`).\n"

WHEN = {
    "never": "never",
    "after_two_looks": "yes: conclusive in two looks 200 ms apart (else after the threshold)",
    "after_threshold": "after the threshold",
    "after_recovery_limit": "when `detection.recovery_limit` is spent",
    "by_clean_stop_policy": "after the threshold, if `failover.on_clean_stop: failover`",
    "by_half_hung_policy": (
        "after `detection.half_hung_after`, if `failover.on_half_hung: failover`"
    ),
    "when_shutting_down_for_ever": (
        "no, but a server that says nothing else than that it is shutting down, for longer than"
        " `detection.recovery_limit`, counts as stopped if `failover.on_clean_stop: failover`"
    ),
    "by_unwritable_policy": "after the threshold, if `failover.on_unwritable: failover`",
}


def states() -> str:
    """The transition table, its diagram, and the sentence of each state's function."""
    pairs = sorted((name_of(a).value, name_of(b).value) for a, b in transitions())
    commanded = {(name_of(a).value, name_of(b).value) for a, b in COMMANDED}
    lines = [
        "# States",
        "",
        "The only values of `state` in metrics, log, journal and API. Each state's function in",
        "[`core/machine.py`](../failoverd/core/machine.py) declares its successors by its return",
        "type; some are reached by an operator's command.",
        MADE,
        "| state | what holds | goes to |",
        "|---|---|---|",
    ]
    for state in StateName:
        said = inspect.getdoc(getattr(machine, state.value)) or ""
        successors = ", ".join(f"`{b}`" for a, b in pairs if a == state.value)
        lines.append(f"| `{state.value}` | {said.splitlines()[0]} | {successors} |")
    lines += ["", "```mermaid", "stateDiagram-v2", "    [*] --> starting"]
    for a, b in pairs:
        label = " : command" if (a, b) in commanded else ""
        lines.append(f"    {a} --> {b}{label}")
    return "\n".join([*lines, "```", ""])


def diagnoses() -> str:
    """Every row of evidence, in the order in which they are tried."""
    lines = [
        "# Diagnoses",
        "",
        "What is wrong with the primary, by name: the value of `diagnosis` in status, log,",
        "report and metrics. The rows are tried in this order; the first that matches wins. The",
        "threshold is `detection.failures` failed rounds in a row *and* as many intervals since",
        "anybody last heard the primary; any well-formed PostgreSQL answer is a proof of life,",
        "whoever hears it.",
        MADE,
        "| diagnosis | what is seen | calls for failover |",
        "|---|---|---|",
    ]
    lines += [f"| `{row.diagnosis}` | {row.sentence} | {WHEN[row.calls]} |" for row in ROWS]
    return "\n".join([*lines, ""])


PAGES: Mapping[str, Callable[[], str]] = {
    "states.md": states,
    "diagnoses.md": diagnoses,
    "configuration.md": configuration,
    "metrics.md": lambda: Metrics().documentation(),
    "../packaging/failoverd.8": manual,
    "../packaging/completions/failoverd.bash": lambda: completion("bash"),
    "../packaging/completions/_failoverd": lambda: completion("zsh"),
    "../packaging/completions/failoverd.fish": lambda: completion("fish"),
}
