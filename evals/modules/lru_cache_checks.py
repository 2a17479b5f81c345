from lru_cache import Cache


def test_the_oldest_goes():
    cache = Cache(2)
    for key in "abc":
        cache.put(key, key.upper())
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (None, "B", "C")


def test_what_was_read_stays():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b")) == (1, None)


def test_it_is_never_larger_than_its_size():
    cache = Cache(2)
    for number in range(9):
        cache.put(number, number)
    assert len(cache) == 2
