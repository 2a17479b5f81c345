def primes_up_to(limit):
    """All primes that are not greater than `limit`, in order."""
    is_prime = [True] * (limit + 1)
    found = []
    for number in range(2, limit + 1):
        if is_prime[number]:
            found.append(number)
            for multiple in range(number * number, limit + 1, number):
                is_prime[multiple] = False
    return found
