import pytest
from leap_years import days_in_month, is_leap


def test_leap_years():
    assert [is_leap(year) for year in (2024, 1900, 2000, 2023)] == [True, False, True, False]


def test_days():
    assert [days_in_month(2023, month) for month in (1, 2, 4, 12)] == [31, 28, 30, 31]
    assert days_in_month(2024, 2) == 29


def test_no_month():
    with pytest.raises(ValueError):
        days_in_month(2024, 13)
