"""How the members of a study are planned, laid out in rows, compiled, trained and put together."""

from jaxdl.model_selection.population.execute import run_members
from jaxdl.model_selection.population.halving import Halving
from jaxdl.model_selection.population.keys import member_key
from jaxdl.model_selection.population.plan import Execution, ExecutionPlan, choose_plan

__all__ = [
    "Execution",
    "ExecutionPlan",
    "Halving",
    "choose_plan",
    "member_key",
    "run_members",
]
