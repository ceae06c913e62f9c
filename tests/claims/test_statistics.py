"""Intervals and tests, each beside a worked example from a text, and the coverage of the interval of a mean."""

import math

import numpy as np
import pytest

from kdlab.claims.statistics import half_width, mcnemar, mean_interval, wilson


def test_the_interval_of_a_mean_is_that_of_the_nist_handbook():
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2, heat flow meter (ZARR13.DAT): 9.258242 to 9.264679
    half = half_width(0.022789, 195)
    assert [9.261460 - half, 9.261460 + half] == pytest.approx([9.258242, 9.264679], abs=2e-6)


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)])
def test_few_seeds_have_the_wide_quantiles_of_students_table(n, quantile):
    assert half_width(math.sqrt(n), n) == pytest.approx(quantile, abs=5e-4)


def test_two_values_have_a_wide_interval_and_one_has_none():
    assert mean_interval([0.96, 0.98]) == pytest.approx((0.97, 0.97 - 0.127062, 0.97 + 0.127062), abs=1e-6)
    mean, *ends = mean_interval([0.97])
    assert mean == 0.97
    assert all(map(math.isnan, ends))


def test_equal_values_have_an_interval_of_width_0():
    assert mean_interval([0.1 + 0.2, 0.3, 0.3]) == (0.3, 0.3, 0.3)
    assert mean_interval([1 - 0.9 - 0.1, 0]) == (0, 0, 0)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_in_2000_experiments_the_interval_of_n_seeds_covers_the_truth_in_93_to_97_per_cent(n):
    truth = 0.97
    draws = np.random.default_rng(n).normal(truth, 0.004, size=(2000, n))
    intervals = [mean_interval(values) for values in draws.tolist()]
    assert 0.93 <= sum(it.low <= truth <= it.high for it in intervals) / 2000 <= 0.97


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_newcombes_examples(right, n, low, high):
    assert wilson(right, n) == pytest.approx((right / n, low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "p"),  # Fagerland, Lydersen and Laake 2013: the exact conditional test, 0.070 for 1 and 7
    [(1, 7, 0.0703), (7, 1, 0.0703), (6, 16, 0.0525), (5, 5, 1), (0, 0, 1)],
)
def test_mcnemars_exact_test_is_that_of_fagerlands_example(first, second, p):
    assert mcnemar(first, second) == pytest.approx(p, abs=5e-5)
