"""Deliberate defects of the decisions, each a replacement of text, written before any was tried.

`make mutations` plants one at a time and lets the simulator, the explorer and, apart from them, the
unit tests look for it. One that does not apply any more counts as not found.
"""

from __future__ import annotations

from tests.sim.defect import Mutation
from tests.sim.defects_elsewhere import OTHERS
from tests.sim.defects_of_choices import DECISION, ELECTION, PROOF
from tests.sim.defects_of_procedure import MACHINE, SITUATION, STEP
from tests.sim.defects_of_sight import DIAGNOSIS, EVIDENCE, MEMORY
from tests.sim.defects_of_ways import DEAD_MEN, LEASES, WAYS

MUTATIONS: tuple[Mutation, ...] = (
    *DECISION, *PROOF, *ELECTION, *MEMORY, *DIAGNOSIS, *EVIDENCE, *STEP, *MACHINE, *SITUATION,
    *OTHERS, *DEAD_MEN, *WAYS, *LEASES,
)  # fmt: skip
