import asyncio
import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from kitty_models.errors import EngineStopped, EngineUnavailable, ModelNotFound
from kitty_models.probe import probe
from kitty_models.reach import reachable
from kitty_models.serve import EmbeddedServer, check_engine


def is_gone(pid: int, within_sec: float) -> bool:
    try:
        psutil.Process(pid).wait(within_sec)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.fixture
def fake_model(tmp_path):
    path = tmp_path / "fake.gguf"
    path.write_bytes(b"GGUF and nothing else")
    return path


def test_importing_the_package_loads_no_engine():
    program = "import sys, kitty_models.doctor, kitty_models.pull; print('xllamacpp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"


def test_a_machine_that_lacks_something_is_told_what_to_do():
    def no_library(name: str) -> object:
        raise OSError(name)

    processor, library = check_engine(lambda: ("avx2",), no_library)
    assert "lacks avx2" in processor.what
    assert "LLAMACPP_CODER_BASE" in processor.fix
    assert "libgomp" in library.what
    assert "apt-get install libgomp1" in library.fix


def test_this_machine_can_run_the_engine():
    assert check_engine() == []


async def test_a_file_that_is_no_model_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"nonsense")
    with pytest.raises(ModelNotFound):
        await EmbeddedServer(tmp_path / "m.gguf", "x", threads=1).start()


async def test_a_model_that_cannot_be_loaded_fails_with_what_the_engine_logged(fake_model):
    server = EmbeddedServer(fake_model, "x", threads=1)
    with pytest.raises(EngineStopped, match=r"(?s)ended while loading .*exit status 1.*logged last:.*fake\.gguf"):
        await server.start()
    assert not server.alive


async def test_what_the_engine_logs_is_added_to_the_file_that_is_named(fake_model, tmp_path):
    log = tmp_path / "model.log"
    log.write_text("of an earlier start\n")
    says = (sys.executable, "-c", "import sys; sys.exit('the engine says why')")
    with pytest.raises(EngineStopped) as stopped:
        await EmbeddedServer(fake_model, "x", threads=1, command=says, log=log).start()
    assert log.read_text() == "of an earlier start\nthe engine says why\n"
    assert str(stopped.value).endswith("It logged last:\nthe engine says why")


async def test_a_processor_that_is_too_old_is_named_when_the_engine_dies_of_it(fake_model):
    dies = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    with pytest.raises(EngineStopped, match="lacks instructions"):
        await EmbeddedServer(fake_model, "x", threads=1, command=dies).start()


async def test_an_engine_that_never_gets_ready_is_ended(fake_model):
    hangs = (sys.executable, "-c", "import sys, time; print('busy', file=sys.stderr, flush=True); sys.stdin.read()")
    server = EmbeddedServer(fake_model, "x", threads=1, command=hangs)
    await server.start(wait=False)
    pid = server.pid
    assert pid is not None
    with pytest.raises(EngineStopped, match=r"not ready within 0.3 s"):
        await server.wait_ready(0.3)
    assert is_gone(pid, 5)


async def test_before_it_is_ready_a_server_has_no_address(fake_model):
    with pytest.raises(EngineStopped, match="wait_ready"):
        _ = EmbeddedServer(fake_model, "x").base_url


@pytest.mark.real_model
async def test_the_real_model_answers_only_with_its_key_and_leaves_nothing_when_stopped(small_model, tmp_path):
    server = EmbeddedServer(small_model, "kitty-coder-small", threads=1)  # others may be working
    await server.start(wait=False)
    await server.wait_ready()
    pid, base = server.pid, server.base_url
    assert pid is not None
    try:
        assert server.api_key not in " ".join(psutil.Process(pid).cmdline())
        assert {item.laddr.ip for item in psutil.Process(pid).net_connections("inet")} == {"127.0.0.1"}
        assert (await reachable(base)).state == "unauthorized"
        with pytest.raises(EngineUnavailable, match="already"):
            await server.start()
        report = await probe(base, server.api_key, cache_file=tmp_path / "cache.json")
        assert (report.models, report.n_ctx, report.dialect) == (("kitty-coder-small",), 8192, "chat")
        assert report.json_schema
        assert report.grammar
        assert report.prefill
        assert report.tokenize
        assert report.prompt_progress
        async with httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {server.api_key}"}) as client:
            question = {"messages": [{"role": "user", "content": "What is 2+2? One number."}], "max_tokens": 8}
            answer = await client.post("/v1/chat/completions", json={**question, "temperature": 0}, timeout=60)
            assert "4" in answer.json()["choices"][0]["message"]["content"]
            assert "llamacpp:" in (await client.get("/metrics")).text
    finally:
        await server.stop()
    assert is_gone(pid, 0)
    assert (await reachable(base)).state == "refused"
    await server.stop()


@pytest.mark.real_model
async def test_two_starts_get_two_ports(small_model):
    first, second = (EmbeddedServer(small_model, "kitty-coder-small", threads=1, n_ctx=512) for _ in range(2))
    try:
        await asyncio.gather(first.start(), second.start())
        assert first.base_url != second.base_url
        assert first.api_key != second.api_key
    finally:
        await asyncio.gather(first.stop(), second.stop())


OWNER = """
import asyncio, os, pathlib, sys
from kitty_models.serve import EmbeddedServer

async def own():
    server = EmbeddedServer(pathlib.Path(sys.argv[1]), "kitty-coder-small", threads=1, n_ctx=512)
    await server.start(wait=sys.argv[2] == "ready")
    if sys.argv[3] == "fork" and os.fork() == 0:
        sys.stdin.read()  # a child that still holds the owner's end of the pipe
        os._exit(0)
    print(server.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(own())
"""


@pytest.mark.real_model
@pytest.mark.parametrize("when", [("ready", "alone"), ("loading", "alone"), ("ready", "fork")], ids=" ".join)
def test_the_engine_dies_with_an_owner_that_is_killed(small_model, when):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(small_model), *when], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        engine = int(owner.stdout.readline())
        assert psutil.pid_exists(engine)
        os.kill(owner.pid, signal.SIGKILL)
        assert is_gone(engine, 10)
