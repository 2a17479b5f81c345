import io

from kitty_models.progress import BarProgress, LineProgress, progress_for


def test_without_a_terminal_there_is_a_line_every_ten_percent():
    stream, now = io.StringIO(), [0.0]
    progress = LineProgress(stream, clock=lambda: now[0])
    progress.begin("model", 0, 100_000_000)
    for _ in range(100):
        now[0] += 0.1
        progress.advance(1_000_000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[4] == "model: 50% (50 of 100 MB), 10.0 MB/s, 5 s left"


def test_a_slow_pull_shows_a_line_every_five_seconds():
    stream, now = io.StringIO(), [0.0]
    progress = LineProgress(stream, clock=lambda: now[0])
    progress.begin("model", 0, None)
    for _ in range(11):
        now[0] += 1.0
        progress.advance(1_000_000)
    assert stream.getvalue().splitlines() == ["model: 5 MB, 1.0 MB/s", "model: 10 MB, 1.0 MB/s"]


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    progress = progress_for(terminal)
    assert isinstance(progress, BarProgress)
    progress.begin("model", 0, 100)
    progress.advance(50)
    progress.say("a [word] in brackets")
    progress.end()
    assert "a [word] in brackets" in terminal.getvalue()
    assert isinstance(progress_for(io.StringIO()), LineProgress)
