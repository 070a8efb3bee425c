"""Pages of docs/ that are made from the code: `python -m tests.house.generate` writes them."""

from __future__ import annotations

import inspect
from pathlib import Path

from failoverd.core import machine
from failoverd.core.diagnosis import ROWS, Calls
from failoverd.core.operator import COMMANDED
from failoverd.core.states import StateName, name_of

ROOT = Path(__file__).parents[2]

CALLS = {
    Calls.NEVER: "never",
    Calls.AFTER_TWO_LOOKS: "yes: conclusive in two looks 200 ms apart",
    Calls.AFTER_THRESHOLD: "after the threshold",
    Calls.AFTER_RECOVERY_LIMIT: "after `recovery_limit`",
    Calls.BY_CLEAN_STOP_POLICY: "after the threshold, unless `on_clean_stop: wait`",
    Calls.BY_HALF_HUNG_POLICY: "only if `on_half_hung: failover`, after `half_hung_after`",
    Calls.BY_UNWRITABLE_POLICY: "only if `on_unwritable: failover`, after the threshold",
}

DRAWINGS: tuple[tuple[str, frozenset[str]], ...] = (
    ("A failover that goes through", frozenset(
        {"watching", "suspect", "fencing", "electing", "salvaging", "promoting", "confirming",
         "settling"}
    )),
    ("Where it stops, and how it goes back", frozenset(
        {"watching", "suspect", "fencing", "electing", "salvaging", "reverting", "blocked"}
    )),
    ("After a restart, and while paused", frozenset(
        {"starting", "watching", "fencing", "reverting", "settling", "paused", "blocked"}
    )),
)  # fmt: skip


def pairs() -> list[tuple[StateName, StateName]]:
    found = {(name_of(a), name_of(b)) for a, b in machine.transitions()}
    order = list(StateName)
    return sorted(found, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))


def states() -> str:
    found = pairs()
    commanded = {(name_of(a), name_of(b)) for a, b in COMMANDED}
    out = [
        "# States",
        "",
        "<!-- Made from failoverd/core/machine.py by `make docs`; do not edit. -->",
        "",
        "The values of `state` in metrics, journal, log and API, and every transition there is.",
        "They are read from the types of `failoverd/core/machine.py`; a test walks through every",
        "event in every state of a small cluster and sees that each of them happens, and no other.",
        "",
        "| state | its rule | goes to |",
        "|---|---|---|",
    ]
    for state in StateName:
        targets = [
            f"{b}{' (also by command)' if (a, b) in commanded else ''}"
            for a, b in found
            if a is state
        ]
        out.append(f"| `{state}` | {_sentence(state)} | {', '.join(targets)} |")
    for title, members in DRAWINGS:
        out += ["", f"## {title}", "", "```mermaid", "stateDiagram-v2"]
        out += [f"    {a} --> {b}" for a, b in found if a in members and b in members]
        out.append("```")
    return "\n".join(out) + "\n"


def _sentence(state: StateName) -> str:
    return (inspect.getdoc(getattr(machine, str(state))) or "").splitlines()[0]


def diagnoses() -> str:
    out = [
        "# Diagnoses",
        "",
        "<!-- Made from failoverd/core/diagnosis.py by `make docs`; do not edit. -->",
        "",
        "What may be wrong with a primary, by name. The first that fits, in this order, is the",
        "diagnosis. The *threshold* is `failures` failed polls, and `failures` times `interval`",
        "since anybody last heard the primary; any well-formed answer of PostgreSQL counts, also a",
        "refusal, also one that only a standby or a standby's host has heard.",
        "",
        "| diagnosis | what is seen | calls for failover |",
        "|---|---|---|",
    ]
    out += [f"| `{row.diagnosis}` | {row.sentence} | {CALLS[row.calls]} |" for row in ROWS]
    return "\n".join(out) + "\n"


PAGES = {"docs/states.md": states, "docs/diagnoses.md": diagnoses}


if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())
