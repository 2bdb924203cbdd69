"""Axes and printed numbers: labels that are right, distinct and few, whatever the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from reports.charts import Plot, date_ticks, money, ticks
from reports.sheet import fit, number, text_width

positive = st.floats(1e-6, 1e12)


@given(st.floats(0, 1e9), positive, st.integers(3, 8))
def test_ticks_are_few_round_and_inside(low, span, most):
    high = low + max(span, 1e-6 * max(low, 1.0))
    marks = ticks(low, high, most)
    assert 1 <= len(marks) <= most
    assert all(low - 1e-6 * (high - low) <= mark <= high + 1e-6 * (high - low) for mark in marks)


@given(st.floats(1.0, 1e13), st.floats(0.02, 2.0))
def test_labels_of_different_ticks_differ_and_say_their_value(level, relative):
    marks = ticks(level, level * (1 + relative))
    labels = [money(mark, marks[1] - marks[0], marks[-1]) for mark in marks] if len(marks) > 1 else []
    assert len(set(labels)) == len(labels)
    for mark, label in zip(marks, labels, strict=False):
        unit = {"T": 1e12, "B": 1e9, "M": 1e6, "k": 1e3}.get(label[-1], 1.0)
        assert abs(float(label.strip("$TBMk").replace(",", "")) * unit - mark) <= 1e-6 * mark


def test_date_ticks_stand_on_the_first_session_of_a_period():
    dates = pd.bdate_range("2015-01-02", "2021-06-30").to_numpy().astype("datetime64[D]")
    found = {label: str(dates[row]) for row, label in date_ticks(dates)}
    assert found["2019"] == "2019-01-01"
    assert list(found) == ["2016", "2017", "2018", "2019", "2020", "2021"]
    short = pd.bdate_range("2021-02-22", "2021-03-12").to_numpy().astype("datetime64[D]")
    assert [label for _, label in date_ticks(short)] == ["1 Mar", "8 Mar"]
    assert date_ticks(short[:2]) == []
    long = pd.bdate_range("1980-01-02", "2021-06-30", freq="B").to_numpy().astype("datetime64[D]")
    assert [label for _, label in date_ticks(long)][:2] == ["1985", "1990"]


def test_a_plot_spans_its_frame():
    plot = Plot(10.0, 20.0, 100.0, 50.0, low=0.0, high=2.0)
    assert plot.points(np.array([0.0, 1.0, 2.0])) == [(10.0, 70.0), (60.0, 45.0), (110.0, 20.0)]


@given(st.text(max_size=80), st.floats(8, 200))
def test_fitted_text_is_a_beginning_that_fits(text, width):
    fitted = fit(text, width, 7.0)
    assert text_width(fitted, 7.0) <= width or fitted == "…"
    assert fitted == text or (fitted.endswith("…") and text.startswith(fitted[:-1]))


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_a_printed_number_reads_back(value, digits):
    assert abs(float(number(value, digits).replace(",", "").replace("−", "-")) - value) <= 0.5 * 10**-digits + 1e-6
    assert number(value, digits).strip("0.,") != "−"
