"""The token that services share: one, private, and the same for all who start at once."""

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from kitty_core.errors import ConfigurationError
from kitty_core.service_token import FILE_NAME, service_token


def test_a_configured_token_wins_and_makes_no_file(tmp_path):
    assert service_token("given", tmp_path) == "given"
    assert not list(tmp_path.iterdir())


def test_the_file_is_made_once_for_this_user_alone(tmp_path):
    folder = tmp_path / "state" / "kitty"
    token = service_token(None, folder)
    assert len(token) >= 40
    assert service_token("", folder) == token
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in folder.iterdir()] == [FILE_NAME]


def test_the_state_directory_is_where_xdg_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert service_token(None) == (tmp_path / "kitty" / FILE_NAME).read_text().strip()


def test_services_that_start_at_once_end_up_with_one_token(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: service_token(None, tmp_path), range(40)))) == 1


def test_processes_that_start_at_once_end_up_with_one_token(tmp_path):
    with get_context("spawn").Pool(3) as pool:
        assert len(set(pool.starmap(service_token, [(None, tmp_path)] * 9))) == 1


def test_a_file_that_others_can_read_is_refused(tmp_path):
    service_token(None, tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        service_token(None, tmp_path)


def test_a_link_or_a_pipe_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("x" * 40)
    (tmp_path / FILE_NAME).symlink_to("elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        service_token(None, tmp_path)
    (tmp_path / FILE_NAME).unlink()
    os.mkfifo(tmp_path / FILE_NAME, 0o600)
    with pytest.raises(ConfigurationError, match="not a file of this user"):
        service_token(None, tmp_path)


@pytest.mark.parametrize("content", ["", "short\n", "x" * 20 + "\ny" + "z" * 20, "ü" * 40])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no token"):
        service_token(None, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path):
    service_token(None, tmp_path)
    os.chown(tmp_path / FILE_NAME, 65534, 65534)
    with pytest.raises(ConfigurationError, match="not a file of this user"):
        service_token(None, tmp_path)
