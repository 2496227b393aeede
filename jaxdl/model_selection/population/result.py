"""What the members of one signature gave."""

from typing import Any, NamedTuple

import numpy as np

from jaxdl.model_selection.population.plan import ExecutionPlan
from jaxdl.training.run_state import RunState


class Result(NamedTuple):
    """What the members of one signature gave, with leading axes [S, G].

    run: a RunState without states. predictions: [S, G, n, ...] of the held-out rows, or ().
    states: trained states, or (). dropped: [S], the epochs after which halving dropped a setting,
    -1 if it did not. keeps_best: whether members end with the state of their best epoch.
    num_params: of one member. The rest: how they ran.
    """

    run: RunState
    predictions: Any
    states: Any
    dropped: np.ndarray
    keeps_best: bool
    num_params: int
    plan: ExecutionPlan
    num_programs: int
    num_traces: int
    compile_seconds: float
    run_seconds: float
