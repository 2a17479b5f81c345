class Cache:
    """Keeps the `size` entries that were used last."""

    def __init__(self, size):
        self.size = size
        self._entries = {}

    def get(self, key, default=None):
        if key not in self._entries:
            return default
        self._entries[key] = self._entries.pop(key)
        return self._entries[key]

    def put(self, key, value):
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self.size:
            del self._entries[next(iter(self._entries))]

    def __len__(self):
        return len(self._entries)
