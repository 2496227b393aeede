"""Searches beyond grids: by ask and tell, by brackets, by populations that copy and explore."""

from jaxdl.model_selection.searches.asynchronous import asynchronous_halving
from jaxdl.model_selection.searches.exploring import Exploring
from jaxdl.model_selection.searches.hyperband import brackets, hyperband
from jaxdl.model_selection.searches.pbt import Lineages, population_based_training
from jaxdl.model_selection.searches.schedules import scheduled
from jaxdl.model_selection.searches.search import Search, Turn, search

__all__ = [
    "Exploring",
    "Lineages",
    "Search",
    "Turn",
    "asynchronous_halving",
    "brackets",
    "hyperband",
    "population_based_training",
    "scheduled",
    "search",
]
