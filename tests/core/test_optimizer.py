from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from quant50.covariance import ledoit_wolf
from quant50.errors import BuildError, DataError
from quant50.groups import GROUPS
from quant50.ladder import scaled
from quant50.limits import Limits, after_forced, bounds, turnover, violations, volatility
from quant50.optimizer import GRID, TOLERANCE, Inputs, Optimizer, Solution
from quant50.parameters import Parameters

SIZE = 24
PARAMETERS = Parameters(risk_aversion=3.0, uncertainty_aversion=0.5)


@pytest.fixture(scope="module")
def optimizer() -> Optimizer:
    return Optimizer(SIZE, 12, PARAMETERS)


def _day(seed: int, names: int = 12, **change: Any) -> Inputs:
    random = np.random.default_rng(seed)
    returns = random.normal(0, 0.009, (252, 1)) * random.uniform(0.5, 1.5, names)
    covariance = ledoit_wolf(returns + random.normal(0, 0.012, (252, names))).matrix
    deviation = np.sqrt(np.diag(covariance) * 5)
    held = random.dirichlet(np.ones(names)) * 0.6
    none = np.zeros(names, dtype=bool)
    limits = Limits(
        caps=np.full(names, 0.25),
        groups=np.arange(names) % 4,
        group_caps=np.full(len(GROUPS), 0.4),
        turnover=change.pop("turnover", 0.15),
        volatility=change.pop("volatility", 0.10),
        invested=change.pop("invested", 0.99),
        maximum_holdings=change.pop("maximum_holdings", 50),
        pinned=change.pop("pinned", none),
        shrink_only=change.pop("shrink_only", none),
        forced_exit=change.pop("forced_exit", none),
    )
    inputs = Inputs(
        expected_return=0.002 + 0.05 * deviation * random.normal(size=names),
        standard_error=0.02 * deviation,
        cost=random.choice([0.5e-4, 1e-4, 4e-4], names),
        held=held,
        covariance=covariance,
        limits=limits,
        equity=1e6,
    )
    return replace(inputs, **change)


def _inside(solution: Solution, inputs: Inputs) -> None:
    limits = replace(inputs.limits, turnover=solution.turnover_limit)
    assert violations(solution.weights, inputs.held, inputs.covariance, limits, TOLERANCE) == ()
    moved = np.abs(solution.weights - after_forced(inputs.held, inputs.limits)) > 0
    units = solution.weights[moved & (solution.weights > 0)] / GRID
    lower, upper = bounds(inputs.held, inputs.limits)
    at_bound = np.isin(solution.weights[moved & (solution.weights > 0)], np.concatenate([lower, upper]))
    assert np.all((np.abs(units - np.round(units)) < 1e-6) | at_bound)


def _reference(inputs: Inputs) -> float:
    """Best objective by sequential quadratic programming (SLSQP) on weights = held + purchases - sales."""
    names, limits, held = len(inputs.held), inputs.limits, inputs.held
    split: Callable[[np.ndarray], np.ndarray] = lambda x: held + x[:names] - x[names:]  # noqa: E731

    def loss(x: np.ndarray) -> float:
        weights = split(x)
        gain = inputs.expected_return @ weights - 15.0 * weights @ inputs.covariance @ weights
        return -1e3 * float(
            gain - inputs.cost @ (x[:names] + x[names:]) - 0.5 * np.linalg.norm(inputs.standard_error * weights)
        )

    def room(x: np.ndarray) -> np.ndarray:
        weights = split(x)
        sums = np.array([weights[limits.groups == group].sum() for group in range(4)])
        rest = [
            limits.invested - weights.sum(),
            limits.turnover - 0.5 * (x.sum() + x[:names].sum() - x[names:].sum()),
            limits.turnover - 0.5 * (x.sum() - x[:names].sum() + x[names:].sum()),
            1e2 * (limits.volatility**2 - 252 * weights @ inputs.covariance @ weights),
        ]
        return np.concatenate([weights, limits.caps - weights, 0.4 - sums, rest])

    found = minimize(
        loss, np.full(2 * names, 1e-3), bounds=[(0, 1)] * (2 * names), method="SLSQP",
        constraints={"type": "ineq", "fun": room}, options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    assert found.success
    return -found.fun / 1e3


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_objective_equals_an_independent_solver(optimizer: Optimizer, seed: int) -> None:
    inputs = _day(seed, names=10, held=np.full(10, 0.06), volatility=0.12)
    solution = optimizer.solve(inputs)
    _inside(solution, inputs)
    assert solution.rung == 1
    assert solution.objective == pytest.approx(_reference(inputs), abs=1e-6)
    assert solution.objective == optimizer.objective(solution.weights, inputs)


@pytest.mark.parametrize("limit", [0.02, 0.05])
def test_the_full_covariance_decides_on_the_volatility(limit: float) -> None:
    coarse = Optimizer(SIZE, 1, PARAMETERS)
    inputs = _day(5, names=SIZE, volatility=limit, turnover=1.0)
    random = np.random.default_rng(1)
    blocks = np.repeat(random.normal(0, 0.01, (252, 6)), 4, axis=1) + random.normal(0, 0.004, (252, SIZE))
    inputs = replace(inputs, covariance=ledoit_wolf(blocks).matrix)
    solution = coarse.solve(inputs)
    _inside(solution, inputs)
    assert solution.corrections > 0
    assert solution.rung == 1
    assert solution.volatility == pytest.approx(limit, abs=2e-3)


def test_turnover_is_raised_to_the_least_that_is_needed(optimizer: Optimizer) -> None:
    inputs = _day(1, turnover=0.02, held=np.array([0.5] + [0.02] * 11), volatility=0.5)
    solution = optimizer.solve(inputs)
    _inside(solution, inputs)
    assert solution.rung == 2
    assert solution.turnover_chosen == pytest.approx(0.25, abs=1e-5)
    assert "turnover 0.02 is too little" in solution.error


def test_iteration_limit_forces_the_third_rung() -> None:
    failing = Optimizer(SIZE, 12, PARAMETERS, iteration_limit=1)
    inputs = _day(2, held=np.array([0.3] + [0.04] * 11), volatility=0.08)
    solution = failing.solve(inputs)
    _inside(solution, inputs)
    assert solution.rung == 3
    assert solution.error.startswith("rung 1:")
    assert "rung 2:" in solution.error
    fine = _day(2, held=np.full(12, 0.02), volatility=0.2)
    np.testing.assert_array_equal(failing.solve(fine).weights, fine.held)


def test_fourth_rung_scales_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Optimizer(SIZE, 12, PARAMETERS, iteration_limit=1)
    monkeypatch.setattr("quant50.optimizer.least_turnover", lambda *_: None)
    inputs = _day(3, held=np.array([0.3] + [0.04] * 11), volatility=0.5)
    solution = failing.solve(inputs)
    _inside(solution, inputs)
    assert solution.rung == 4
    np.testing.assert_allclose(solution.weights, inputs.held * 0.25 / 0.3, atol=2e-6)


def test_scaling_ends_exactly_at_the_volatility_limit_with_a_pinned_name() -> None:
    inputs = _day(4, volatility=0.06, pinned=np.arange(12) == 0)
    lower, upper = bounds(inputs.held, inputs.limits)
    weights = scaled(inputs.held, lower, upper, inputs.covariance, inputs.limits)
    assert weights[0] == inputs.held[0]
    assert weights[1] < inputs.held[1]
    assert volatility(weights, inputs.covariance) == pytest.approx(0.06, abs=1e-9)


@pytest.mark.parametrize("turnover_limit", [0.15, 1.0])
def test_at_most_so_many_names(optimizer: Optimizer, turnover_limit: float) -> None:
    inputs = _day(7, names=SIZE, maximum_holdings=6, turnover=turnover_limit, held=np.full(SIZE, 0.02))
    solution = optimizer.solve(inputs)
    _inside(solution, inputs)
    assert np.count_nonzero(solution.weights) <= 6
    assert solution.rung == (1 if turnover_limit == 1.0 else 2)


def test_masks_are_kept(optimizer: Optimizer) -> None:
    mask = lambda *names: np.isin(np.arange(12), names)  # noqa: E731
    inputs = _day(8, pinned=mask(0), shrink_only=mask(1, 2), forced_exit=mask(3))
    inputs = replace(inputs, limits=replace(inputs.limits, caps=np.where(mask(3), 0.0, 0.25)))
    solution = optimizer.solve(inputs)
    _inside(solution, inputs)
    assert solution.weights[0] == inputs.held[0]
    assert np.all(solution.weights[1:3] <= inputs.held[1:3])
    assert solution.weights[3] == 0
    assert solution.turnover_forced == pytest.approx(inputs.held[3])
    assert solution.turnover_chosen <= 0.15 + TOLERANCE


def test_no_turnover_allowed_keeps_every_share(optimizer: Optimizer) -> None:
    inputs = _day(9, turnover=0.0, held=np.full(12, 0.03), volatility=0.5)
    solution = optimizer.solve(inputs)
    assert (solution.rung, solution.turnover_chosen) == (1, 0.0)
    np.testing.assert_array_equal(solution.weights, inputs.held)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    names=st.integers(1, SIZE),
    kind=st.sampled_from(
        ["plain", "no variance", "correlated", "equal scores", "huge returns", "concentrated", "negative"]
    ),
    risk=st.sampled_from([0.0, 0.03, 0.10]),
    invested=st.sampled_from([0.0, 0.25, 0.99]),
    turnover_limit=st.sampled_from([0.0, 0.15, 1.0]),
    holdings=st.sampled_from([1, 5, 50]),
    masked=st.integers(0, 3),
)
def test_hostile_days_end_inside_every_limit(
    optimizer: Optimizer, seed: int, names: int, kind: str, risk: float, invested: float, turnover_limit: float,
    holdings: int, masked: int,
) -> None:  # fmt: skip
    random = np.random.default_rng(seed)
    masks = {name: random.random(names) < 0.1 * masked for name in ("pinned", "shrink_only", "forced_exit")}
    inputs = _day(
        seed,
        names,
        volatility=risk,
        invested=invested,
        turnover=turnover_limit,
        maximum_holdings=holdings,
        **masks,
    )
    changes: dict[str, dict[str, np.ndarray]] = {
        "plain": {},
        "no variance": {"covariance": np.zeros((names, names))},
        "correlated": {"covariance": np.full((names, names), 1e-4)},
        "equal scores": {"expected_return": np.zeros(names)},
        "huge returns": {"expected_return": random.choice([-1e6, 1e6], names)},
        "concentrated": {"held": np.eye(names)[0]},
        "negative": {"covariance": inputs.covariance - 1e-4 * np.eye(names)},
    }
    inputs = replace(inputs, **changes[kind])
    solution = optimizer.solve(inputs)
    _inside(solution, inputs)
    assert np.isfinite(solution.objective)
    assert (solution.error == "") == (solution.rung == 1)
    taken = turnover(after_forced(inputs.held, inputs.limits), solution.weights)
    assert solution.turnover_chosen == pytest.approx(taken, abs=1e-12)


def test_same_inputs_give_the_same_bytes_whatever_was_solved_before(optimizer: Optimizer) -> None:
    inputs = _day(11)
    first = optimizer.solve(inputs).weights.tobytes()
    optimizer.solve(_day(12, names=SIZE))
    assert optimizer.solve(inputs).weights.tobytes() == first


def test_padding_does_not_matter(optimizer: Optimizer) -> None:
    inputs = _day(13)
    exact = Optimizer(12, 12, PARAMETERS).solve(inputs)
    assert optimizer.solve(inputs).objective == pytest.approx(exact.objective, abs=1e-8)


def test_a_name_without_numbers_is_left_out_and_counted(optimizer: Optimizer) -> None:
    inputs = _day(14)
    returns, held = inputs.expected_return.copy(), inputs.held.copy()
    returns[4], held[4] = np.nan, 0.0
    solution = optimizer.solve(replace(inputs, expected_return=returns, held=held))
    assert (solution.excluded, solution.weights[4]) == (1, 0.0)
    with pytest.raises(DataError, match="held name"):
        replace(inputs, expected_return=returns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"equity": 0.0}, "equity"),
        ({"held": np.full(12, np.nan)}, "held weights"),
        ({"held": np.array([])}, "empty universe"),
        ({"covariance": np.full((12, 12), np.nan)}, "covariance"),
        ({"cost": np.zeros(3)}, "shape"),
    ],
)
def test_typed_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(_day(0), **change)


def test_more_names_than_built_for_are_a_build_error(optimizer: Optimizer) -> None:
    with pytest.raises(BuildError, match="built for"):
        optimizer.solve(_day(0, names=SIZE + 1))
    with pytest.raises(BuildError):
        Optimizer(0, 1, PARAMETERS)
