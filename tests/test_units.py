from __future__ import annotations

import doctest
import math

import pytest

from harness import units


def test_doctests_hold():
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7.0, "7"),
        (1240, "1 240"),
        (1234567, "1 234 567"),
        (0.03125, "0.0312"),
        (-2.5, "−2.50"),
        (9.996, "10.0"),
        (99.96, "100"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_keep_three_digits_and_whole_numbers_stay_whole(value, text):
    assert units.number(value) == text


def test_a_share_shows_interval_and_count():
    assert units.share(0.613, 0.582, 0.643, 1034) == "61.3 % [58.2, 64.3] n=1034"
    assert units.share(None, None, None, 0) == "– n=0"


@pytest.mark.parametrize(("value", "text"), [(0.021, "+2.1"), (-0.021, "−2.1"), (0.0, "0.0"), (-0.0001, "0.0")])
def test_differences_are_signed_unless_they_round_to_nothing(value, text):
    assert units.points(value) == text


def test_a_difference_names_its_unit():
    assert units.point_difference(0.021, -0.004, 0.046, 1034) == "+2.1 points [−0.4, +4.6] n=1034"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3.2e-5, "32.0 µs"),
        (0.041, "41.0 ms"),
        (12.34, "12.3 s"),
        (59.98, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3780, "1 h 03 min"),
        (-2, "−2.00 s"),
        (None, "–"),
    ],
)
def test_durations_read_as_one_says_them(seconds, text):
    assert units.duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(512, "512 B"), (1536, "1.50 KiB"), (80 * 2**30, "80.0 GiB"), (None, "–")])
def test_bytes_use_binary_units(value, text):
    assert units.size(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 0.001"), (0.0134, "0.013"), (0.34, "0.34"), (1.0, "1.00")])
def test_p_values_never_claim_zero(p, text):
    assert units.p_value(p) == text


def test_rates_and_quantities_carry_their_unit():
    assert units.rate(1240.2) == "1 240 tok/s"
    assert units.rate(37.4, "items/s") == "37.4 items/s"
    assert units.rate(None) == "–"
    assert units.quantity(3410, "J") == "3.41 kJ"
    assert units.quantity(0.5, "W") == "0.500 W"
    assert units.plural(1, "item") == "1 item"
    assert units.plural(2500, "query", "queries") == "2 500 queries"
