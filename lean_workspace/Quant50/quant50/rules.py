"""The rules that come before the optimiser: what must be sold, what may not be bought, what cannot be traded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant50.errors import DataError
from quant50.panel import Bools, Floats, Ints
from quant50.parameters import Parameters
from quant50.risk import Guard, GuardState, StopLoss, advance, cooling, guard_step, sessions_since
from quant50.session import Holdings, Session
from quant50.state import Mark, State


@dataclass(frozen=True)
class Action:
    """A rule that acted in a decision, on a ticker ('' = the portfolio), with its detail."""

    ticker: str
    rule: str
    detail: str


@dataclass(frozen=True)
class Rules:
    """What the rules leave open to the optimiser, for n names.

    Attributes
    ----------
    buyable : (n,) bool, may be bought
    pinned : (n,) bool, no order: no bar at t, no volume in 21 sessions, or an event at t + 1
    forced : (n,) bool, must be sold at least down to `keep`
    keep : (n,) fraction of the held shares that may stay, 1 where nothing is forced
    reasons : n texts, the rule behind a sale, '' where none
    exposure : what the drawdown guard allows, 0 … 1
    actions : rules that acted
    """

    buyable: Bools
    pinned: Bools
    forced: Bools
    keep: Floats
    reasons: tuple[str, ...]
    exposure: float
    actions: tuple[Action, ...]

    def columns(self, columns: Ints) -> Rules:
        """The rules of some names, in the given order; exposure and actions stay those of the portfolio."""
        return Rules(
            self.buyable[columns],
            self.pinned[columns],
            self.forced[columns],
            self.keep[columns],
            tuple(self.reasons[column] for column in columns),
            self.exposure,
            self.actions,
        )


def apply_rules(session: Session, holdings: Holdings, state: State, parameters: Parameters) -> tuple[Rules, State]:
    """The rules of session t and the state after it.

    Parameters
    ----------
    session, holdings : at the close of t, n names in one order
    state : after the last decision
    parameters : of the strategy

    Raises
    ------
    DataError
        The state is from after t, or from before the session's window.
    """
    actions: list[Action] = []
    held = holdings.shares > 0
    invested = held | (holdings.shares + holdings.open_quantity > 0)
    marks = _marks(session, held, state)
    stopped = _stopped(session, marks, state, StopLoss.of(parameters), actions)
    leaving = {
        session.tickers[i]: state.leaving.get(session.tickers[i], session.date)
        for i in np.flatnonzero(held & ~session.constituent & ~session.is_etf)
    }
    exposure, guard = _guard(session, holdings.equity, state, parameters, actions)
    after = State(
        last_decision=session.date,
        peak=max(state.peak, holdings.equity),
        guard_peak=guard.peak,
        zero_since=guard.zero_since,
        recovery_since=guard.recovery_since,
        marks=marks,
        stopped=stopped,
        leaving=leaving,
    )
    stopping = np.array([ticker in stopped for ticker in session.tickers], dtype=bool)
    sold = stopping & held
    keep, reasons = np.where(sold, 0.0, 1.0), [""] * len(session.tickers)
    for i in np.flatnonzero(sold):
        reasons[i] = "stop-loss"
    for ticker, first in leaving.items():
        i = session.tickers.index(ticker)
        left = max(parameters.forced_exit_sessions - sessions_since(session.dates, first), 1)
        if not sold[i]:
            keep[i], reasons[i] = 1.0 - 1.0 / left, "left the index"
            actions.append(Action(ticker, "left the index", f"{left} sessions left, first {first}"))
    unpriced = ~session.traded | (session.liquidity() <= 0)
    pinned = unpriced | session.blocked
    for mask, rule in ((unpriced, "not traded"), (session.blocked & ~unpriced, "event at the next session")):
        actions += [Action(session.tickers[i], rule, "shares kept") for i in np.flatnonzero(mask & invested)]
    candidate = (session.member & session.constituent) | session.is_etf
    buyable = candidate & session.has_history() & ~pinned & ~stopping
    for i in np.flatnonzero(candidate & ~pinned & stopping & ~held):
        actions.append(Action(session.tickers[i], "cool-off", f"stopped {stopped[session.tickers[i]]}"))
    for i in np.flatnonzero(invested & ~buyable & ~pinned & (keep == 1.0)):
        reasons[i] = "shrink only"
        actions.append(Action(session.tickers[i], "shrink only", "no candidate but in the index"))
    return Rules(buyable, pinned, keep < 1.0, keep, tuple(reasons), exposure, tuple(actions)), after


def _marks(session: Session, held: Bools, state: State) -> dict[str, Mark]:
    """Marks of the held names at the close of t."""
    elapsed = sessions_since(session.dates, state.last_decision) if state.last_decision else 0
    if elapsed >= len(session.dates):
        raise DataError(f"decision: last decision {state.last_decision} lies before the window of {session.date}")
    first = len(session.dates) - elapsed
    marks = {}
    for i in np.flatnonzero(held):
        path = session.returns[first:, i]
        # A return that is not known moves nothing: the next known one holds the whole move.
        marks[session.tickers[i]] = advance(
            state.marks.get(session.tickers[i]), path[np.isfinite(path)], float(np.nan_to_num(session.intraday[i]))
        )
    return marks


def _stopped(
    session: Session, marks: dict[str, Mark], state: State, rule: StopLoss, actions: list[Action]
) -> dict[str, str]:
    """Names in cool-off with the session of their stop, those stopped at t among them."""
    stopped = cooling(state.stopped, rule, session.dates)
    columns = np.array([session.tickers.index(ticker) for ticker in marks], dtype=np.int64)
    returns = session.returns[:, columns]
    distance = rule.distance(returns)
    for ticker, mark, acted, allowed in zip(
        marks, marks.values(), rule.triggered(tuple(marks.values()), returns), distance, strict=True
    ):
        if acted and ticker not in stopped:
            fall = 1.0 - mark.index / mark.maximum
            actions.append(Action(ticker, "stop-loss", f"{fall:.4f} below the maximum, allowed {allowed:.4f}"))
            stopped[ticker] = session.date
        elif ticker in stopped:
            actions.append(Action(ticker, "stop-loss pending", f"still held, stopped {stopped[ticker]}"))
        elif np.isnan(allowed):
            actions.append(Action(ticker, "stop-loss not known", "too few returns"))
    return stopped


def _guard(
    session: Session, equity: float, state: State, parameters: Parameters, actions: list[Action]
) -> tuple[float, GuardState]:
    """Exposure of the drawdown guard and its state."""
    before = GuardState(state.guard_peak, state.zero_since, state.recovery_since)
    exposure, guard = guard_step(Guard.of(parameters), before, equity, session.dates)
    if guard.recovery_since == session.date:
        actions.append(Action("", "drawdown guard reset", f"peak {guard.peak:.2f}"))
    if exposure < 1.0:
        actions.append(Action("", "drawdown guard", f"exposure {exposure:.4f} of peak {guard.peak:.2f}"))
    return exposure, guard
