"""Errors of the strategy, by whether a retry can help.

`DataError`: the input is wrong; a retry helps after the input is corrected.
`BuildError`: the program is wrong; no retry helps.
`ModelError`: the model bundle is refused; a retry helps with another bundle.
`InfeasibleError`: no portfolio meets the limits; a retry helps with wider limits.
`NumericalError`: the solver failed; a retry helps with another solver or scaling.
"""

from __future__ import annotations


class Quant50Error(Exception):
    """Base of every error that this project raises on purpose."""


class DataError(Quant50Error):
    """Input data are missing, malformed or contradictory; correct them and retry."""


class ParameterError(DataError):
    """A parameter is unknown, of the wrong type or outside its range; correct it and retry."""


class ModelError(DataError):
    """A model bundle is missing, altered, stale or made for other features; retry with another bundle."""


class BuildError(Quant50Error):
    """The program contradicts itself (a problem that is not DPP, a shape mismatch); no retry helps."""


class InfeasibleError(Quant50Error):
    """No portfolio meets the limits; retry with wider limits."""


class NumericalError(Quant50Error):
    """The solver did not reach a usable solution; retry with another solver or scaling."""
