"""Graphs of known shapes compiled by Numba into one function of plain loops (extra `speed`)."""

from ember_ml.backend.loops.program import pays as pays
from ember_ml.backend.loops.program import printed as printed
from ember_ml.backend.loops.program import program as program
