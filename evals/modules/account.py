class Account:
    """Money that can be paid in and taken out, never more than there is."""

    def __init__(self, balance=0):
        if balance < 0:
            raise ValueError("a balance below zero")
        self.balance = balance
        self.history = []

    def pay_in(self, amount):
        if amount <= 0:
            raise ValueError("an amount above zero")
        self.balance += amount
        self.history.append(amount)

    def take_out(self, amount):
        if amount <= 0:
            raise ValueError("an amount above zero")
        if amount > self.balance:
            raise ValueError("more than there is")
        self.balance -= amount
        self.history.append(-amount)
