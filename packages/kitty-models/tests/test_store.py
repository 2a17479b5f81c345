from pathlib import Path

import platformdirs

from kitty_models.store import list_models, model_dir, write_record


def test_the_model_directory_is_the_users_data_directory_unless_set(tmp_path):
    assert model_dir({}) == Path(platformdirs.user_data_dir("kitty", appauthor=False)) / "models"
    assert model_dir({"KITTY_MODEL_DIR": str(tmp_path)}) == tmp_path


def test_models_are_listed_with_what_is_known_about_them(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    (tmp_path / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf").write_bytes(b"GGUF: cut short")
    (tmp_path / "other.gguf.partial").write_bytes(b"GGUF")
    write_record(tmp_path / "mine.gguf", "url", "http://x", "ab")

    mine, short = list_models(tmp_path)
    assert (mine.alias, mine.source, mine.sha256) == (None, "url", "ab")
    assert (short.alias, short.source) == (None, "unknown")


def test_a_directory_that_is_not_there_holds_no_models(tmp_path):
    assert list_models(tmp_path / "none") == []
