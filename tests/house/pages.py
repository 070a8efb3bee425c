"""The pages of docs/ that are made from the source, so that they cannot drift from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from failoverd.config.page import page as configuration
from failoverd.core import machine
from failoverd.core.diagnosis import ROWS
from failoverd.core.objectives import MEANING
from failoverd.core.operator import COMMANDED
from failoverd.core.readiness import ROWS as CHECKS
from failoverd.core.states import StateName, name_of
from failoverd.core.transitions import transitions
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


def readiness() -> str:
    """Every check, with its meaning and its fix; and the kinds of fault with an objective."""
    lines = [
        "# Readiness and objectives",
        "",
        "Could a failover succeed right now? The daemon asks continuously (each node every 45 s,",
        "beside the watch, never while an incident is open), `failoverd check` at once, with or",
        "without a daemon. Each check passes, warns, fails, or is not known (`?`: what it needs",
        "did not answer, and another check says so). `failoverd check` prints a fix that can be",
        "pasted, and ends with 1 where something fails; `--json` is for programs. Where one fails",
        "`failoverd_ready_check{check}` is 0, and so is `failoverd_ready`.",
        "What fails on a standby is a warning where another standby could take over.",
        MADE,
        "| check | what it means | how it is mended |",
        "|---|---|---|",
    ]
    lines += [f"| `{row.name}` | {row.means} | {row.mended_by} |" for row in CHECKS]
    lines += [
        "",
        "## Objectives",
        "",
        "RPO: `failoverd_wal_at_risk_bytes{node}`, what a failover to that standby would lose.",
        "RTO: `failoverd_recovery_time_objective_seconds{fault}`, the worst case of the outage for",
        "each kind of fault: the time limits of the configuration, step by step, where each host",
        "that answers does so within the limit of a look. What no limit bounds (WAL to carry and",
        "to replay) is taken as it is now, at 10 MB and 30 MB a second. A covered fault whose",
        "worst case is longer than `failover.rto` fails the check `rto`; one that no rung of the",
        "ladder covers is named by `not_covered` (+Inf in the metric). Measured outages stand",
        "beside the computed ones in [benchmarks.md](benchmarks.md).",
        "",
        "| fault | what happens |",
        "|---|---|",
    ]
    lines += [f"| `{fault}` | {meaning} |" for fault, meaning in MEANING.items()]
    return "\n".join([*lines, ""])


PAGES: Mapping[str, Callable[[], str]] = {
    "states.md": states,
    "diagnoses.md": diagnoses,
    "configuration.md": configuration,
    "readiness.md": readiness,
    "metrics.md": lambda: Metrics().documentation(),
    "../packaging/failoverd.8": manual,
    "../packaging/completions/failoverd.bash": lambda: completion("bash"),
    "../packaging/completions/_failoverd": lambda: completion("zsh"),
    "../packaging/completions/failoverd.fish": lambda: completion("fish"),
}
