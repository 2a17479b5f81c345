"""Honest programs with their tests: each must pass, together and apart."""

LEGIT = {
    "pure": (
        "def f(words): return sorted({word.lower() for word in words})\n",
        "from solution import f\ndef test_f(): assert f(['B', 'a', 'b']) == ['a', 'b']\n"
        "def test_none(): assert f([]) == []\n",
    ),
    "parametrize": (
        "def f(a, b): return a * b\n",
        """
import pytest
from solution import f
@pytest.mark.parametrize(("a", "b", "product"), [(1, 2, 2), (3, 4, 12), (0, 9, 0)], ids=["one", "two", "none"])
def test_f(a, b, product): assert f(a, b) == product
""",
    ),
    "asyncio": (
        """
import asyncio
async def later(x):
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(lambda: x + 1)
def f(x):
    async def both(): return await asyncio.gather(later(x), later(x + 1))
    return asyncio.run(both())
""",
        "from solution import f\ndef test_f(): assert f(1) == [2, 3]\n",
    ),
    "threads": (
        """
import threading
from concurrent.futures import ThreadPoolExecutor
def f(numbers):
    with ThreadPoolExecutor(8) as pool: return list(pool.map(abs, numbers))
def many(count):
    gate = threading.Barrier(count + 1)
    for _ in range(count): threading.Thread(target=gate.wait, daemon=True).start()
    gate.wait(5)
    return count
""",
        "from solution import f, many\ndef test_f(): assert f([-1, 2, -3]) == [1, 2, 3]\n"
        "def test_many(): assert many(40) == 40\n",
    ),
    "tempfile": (
        """
import tempfile
from pathlib import Path
def f(text):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_text(text)
        Path("/tmp/plain").write_text(text)
        return Path(folder, "x").read_text() + Path("/tmp/plain").read_text()
""",
        "from solution import f\ndef test_f(): assert f('ab') == 'abab'\n",
    ),
    "class, tmp_path, capsys and raises": (
        "def f(path):\n    print('reading')\n    return path.read_text()\ndef g(x): return 1 / x\n",
        """
import pytest
from solution import f, g
class TestF:
    def test_files(self, tmp_path):
        (tmp_path / "a").write_text("x")
        assert f(tmp_path / "a") == "x"
    def test_output(self, tmp_path, capsys):
        (tmp_path / "a").write_text("x")
        f(tmp_path / "a")
        assert capsys.readouterr().out == "reading\\n"
    def test_raises(self):
        with pytest.raises(ZeroDivisionError): g(0)
""",
    ),
    "sqlite3, decimal, random": (
        """
import random, sqlite3
from decimal import Decimal
def f(rows):
    for place in (":memory:", "/tmp/rows.db"):
        with sqlite3.connect(place) as db:
            db.execute("create table t (x text)")
            db.executemany("insert into t values (?)", [(row,) for row in rows])
            found = db.execute("select count(*), max(x) from t").fetchone()
    return found
def g(): return Decimal("0.1") + Decimal("0.2")
def h(): return random.Random(7).sample(range(100), 3)
""",
        "from decimal import Decimal\nfrom solution import f, g, h\n"
        "def test_f(): assert f(['a', 'c', 'b']) == (3, 'c')\n"
        "def test_g(): assert g() == Decimal('0.3')\ndef test_h(): assert h() == h() and len(h()) == 3\n",
    ),
}
