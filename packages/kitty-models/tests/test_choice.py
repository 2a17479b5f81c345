import pytest

from kitty_models.choice import resolve
from kitty_models.errors import BadSetting, ModelNotFound


def test_an_alias_is_the_catalogues_model(tmp_path):
    choice = resolve("kitty-coder", tmp_path)
    assert (choice.kind, choice.name) == ("alias", "kitty-coder")
    assert choice.path == tmp_path / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"


def test_a_path_is_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"GGUF1234")
    choice = resolve(str(tmp_path / "mine.gguf"), tmp_path)
    assert (choice.kind, choice.name, choice.path) == ("file", "mine", tmp_path / "mine.gguf")


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelNotFound, match="is not a GGUF model"):
        resolve(str(tmp_path / "mine.gguf"), tmp_path)


@pytest.mark.parametrize("name", ["./none.gguf", "/nowhere/model", "none.gguf"])
def test_a_missing_file_is_called_missing(tmp_path, name):
    with pytest.raises(ModelNotFound, match="There is no model file"):
        resolve(name, tmp_path)


@pytest.mark.parametrize(
    "name", ["http://gpu:8080", "http://gpu:8080/", "http://gpu:8080/v1", "gpu:8080", "gpu:8080/v1/"]
)
def test_an_address_is_a_running_server(tmp_path, name):
    choice = resolve(name, tmp_path)
    assert (choice.kind, choice.base_url) == ("server", "http://gpu:8080")


def test_a_gguf_url_is_pulled_and_its_hash_is_checked_when_given(tmp_path):
    choice = resolve(f"https://example.org/a/m.gguf#sha256={'A' * 64}", tmp_path)
    assert choice.kind == "download"
    assert choice.spec is not None
    assert choice.spec.sha256 == "a" * 64
    assert choice.path is not None
    assert choice.path.name.startswith("m-")


def test_two_urls_with_one_file_name_do_not_overwrite_each_other(tmp_path):
    assert resolve("https://a.org/m.gguf", tmp_path).path != resolve("https://b.org/m.gguf", tmp_path).path


@pytest.mark.parametrize("end", ["#md5=1", "#sha256=12"])
def test_a_hash_that_cannot_be_read_is_not_ignored(tmp_path, end):
    with pytest.raises(BadSetting, match="64 hexadecimal digits"):
        resolve(f"https://example.org/m.gguf{end}", tmp_path)
