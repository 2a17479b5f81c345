import pytest
from account import Account


def test_in_and_out():
    account = Account(10)
    account.pay_in(5)
    account.take_out(12)
    assert (account.balance, account.history) == (3, [5, -12])


def test_all_of_it_can_be_taken_out():
    account = Account(10)
    account.take_out(10)
    assert account.balance == 0


def test_never_more_than_there_is():
    account = Account(10)
    with pytest.raises(ValueError):
        account.take_out(11)
    assert account.history == []
