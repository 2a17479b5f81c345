"""The pytest plugin that reports each phase of each test on its own pipe.

What it stops: output that looks like a verdict, a process that leaves early, reports that pytest never observed (the
exception seen by our own wrapper must agree with pytest's report), phases that are missing or doubled.
What it does not stop: code in this very process that finds the channel and speaks its protocol, or that patches pytest
for every test but the control. Only a second process ends that; `verdict_strength` says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

Send = Callable[..., None]
_MESSAGE_CHARACTERS = 2000


def _nowhere(kind: str, **fields: Any) -> None:
    raise AssertionError("the reporter was used before it began")


def open_channel(fd: int, nonce: str) -> Send:
    """Lines of JSON with a nonce and a contiguous number. Everything it needs is bound now, before the guest's code."""
    encode = json.JSONEncoder(ensure_ascii=True, check_circular=False).encode
    write = os.write
    number = 0

    def send(kind: str, **fields: Any) -> None:
        nonlocal number
        data = (encode({**fields, "kind": kind, "nonce": nonce, "seq": number}) + "\n").encode()
        number += 1
        while data:
            data = data[write(fd, data) :]

    return send


def describe(error: BaseException, text: str | None = None) -> dict[str, Any]:
    """The type's name, a short text, and the module that was not found."""
    name = type(error).__name__
    if text is None:
        text = f"{name}: {_text_of(error)}"
    missing = None
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, ModuleNotFoundError) and isinstance(seen.name, str):
            missing = seen.name
        seen = seen.__cause__ if seen is not None else None
    return {"exception": name, "message": text[:_MESSAGE_CHARACTERS], "missing": missing}


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a guest's __str__ may raise anything
        return "(its text could not be read)"


def _describe_info(info: pytest.ExceptionInfo[BaseException]) -> dict[str, Any]:
    error = info.value
    if type(error).__name__ == "CollectError" and error.__cause__ is not None:
        return describe(error.__cause__)
    try:
        text = info.exconly()
    except BaseException:  # noqa: BLE001 - a guest's __str__ may raise anything
        text = None
    return describe(error, text)


class Reporter:
    """`observed` is what our own wrappers saw of each phase; pytest's report must agree with it."""

    def __init__(self) -> None:
        self.current = ""
        self._send: Send = _nowhere
        self._control = ""
        self._observed: dict[tuple[str, str], str] = {}
        self._details: dict[tuple[str, str], dict[str, Any]] = {}

    def begin(self, send: Send, control: str) -> None:
        """From now on report through `send`; the tests of the file `control` are ours."""
        self._send = send
        self._control = control + "::"

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        self.current = collector.nodeid or self.current

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        if isinstance(report, pytest.CollectReport):
            self._send("collect_error", id=node.nodeid, **_describe_info(call.excinfo))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._send("collected", ids=[item.nodeid for item in session.items])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """The control runs like any other test, but out of sight: its failure belongs to us, not to the reader."""
        if not item.nodeid.startswith(self._control):
            return None
        for report in runtestprotocol(item, log=False, nextitem=None):
            self._send_phase(report)
        return True

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, None]:
        self.current = item.nodeid
        self._send("started", id=item.nodeid)
        yield from self._observe(item, "setup")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        yield from self._observe(item, "call")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, None]:
        yield from self._observe(item, "teardown")

    def _observe(self, item: pytest.Item, when: str) -> Generator[None, Any, None]:
        result = yield
        self._observed[item.nodeid, when] = type(result.excinfo[1]).__name__ if result.excinfo else "ok"

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, None]:
        if call.excinfo is not None:
            self._details[item.nodeid, call.when] = _describe_info(call.excinfo)
        yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._send_phase(report)

    def _send_phase(self, report: pytest.TestReport) -> None:
        if type(report).__name__ == "SubtestReport":
            if report.outcome != "passed":
                self._send("subtest", id=report.nodeid, outcome=report.outcome, message=str(report.longrepr)[:2000])
            return
        key = (report.nodeid, report.when or "")
        detail = self._details.pop(key, {})
        if report.outcome != "passed":
            detail = {"message": str(report.longrepr)[:_MESSAGE_CHARACTERS], **detail}
        self._send(
            "phase",
            id=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            observed=self._observed.pop(key, None),
            xfail=hasattr(report, "wasxfail"),
            seconds=report.duration,
            **detail,
        )
