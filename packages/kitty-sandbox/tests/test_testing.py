import pytest

from kitty_sandbox import Sandbox, SandboxRun, SandboxStatus, SandboxUnavailable
from kitty_sandbox.testing import ScriptedSandbox, make_result

RUN = SandboxRun({"test_x.py": ""}, ("test_x.py",))


async def test_the_script_is_played_in_order_and_the_runs_are_kept():
    sandbox: Sandbox = ScriptedSandbox(make_result("failed"), make_result())
    assert [(await sandbox.run(RUN)).passed, (await sandbox.run(RUN)).passed] == [False, True]
    assert sandbox.runs == [RUN, RUN]
    with pytest.raises(AssertionError, match="run number 3"):
        await sandbox.run(RUN)


async def test_an_unavailable_script_refuses():
    sandbox = ScriptedSandbox(status=SandboxStatus(False, reason="no walls", fix="build some"))
    with pytest.raises(SandboxUnavailable, match="no walls"):
        await sandbox.run(RUN)
