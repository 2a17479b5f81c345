"""Hatches workers for tests: imports the service once, then forks a process for each line on stdin, which runs it.

Prints the process id of each. Ends with its stdin, and ends all that it has hatched.
"""

import asyncio
import os
import signal
import sys

from coder_agent.main import serve
from coder_agent.settings import Settings
from kitty_core.logs import configure_logs


def main() -> None:
    """The loop."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    hatched = []
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            _work()
        hatched.append(child)
        print(child, flush=True)
    for child in hatched:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _work() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    configure_logs("coder-agent")
    asyncio.run(serve(Settings()))
    os._exit(0)


if __name__ == "__main__":
    main()
