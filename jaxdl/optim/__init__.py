"""Optimisation: gradient descent, Newton's method, schedules, critical points."""

from jaxdl.optim import schedules as schedules
from jaxdl.optim.critical import CriticalPoint as CriticalPoint
from jaxdl.optim.critical import classify_critical_point as classify_critical_point
from jaxdl.optim.gradient_descent import Descent as Descent
from jaxdl.optim.gradient_descent import GradientDescentState as GradientDescentState
from jaxdl.optim.gradient_descent import gradient_descent as gradient_descent
from jaxdl.optim.gradient_descent import minimize as minimize
from jaxdl.optim.lbfgs import lbfgs as lbfgs
from jaxdl.optim.lbfgs import wolfe_search as wolfe_search
from jaxdl.optim.newton import newton as newton
