import pytest

from kitty_models.discover import Endpoint, any_explicit, backends_from_env
from kitty_models.errors import BadSetting


def test_without_any_setting_the_default_ports_are_assumed():
    assert backends_from_env({}) == {
        "q4": Endpoint("http://localhost:8083", None, explicit=False),
        "f16": Endpoint("http://localhost:8082", None, explicit=False),
        "coder": Endpoint("http://localhost:8082", None, explicit=False),
    }
    assert not any_explicit({})


@pytest.mark.parametrize("variable", ["LLAMACPP_F16_BASE", "LLAMACPP_F16_HOST"])
def test_the_coder_role_follows_the_f16_server(variable):
    env = {variable: "http://gpu:9000", "LLAMACPP_F16_API_KEY": "k"}
    assert backends_from_env(env)["coder"] == Endpoint("http://gpu:9000", "k", explicit=True)
    assert any_explicit(env)


def test_base_wins_over_host():
    env = {"LLAMACPP_Q4_BASE": "http://a:1", "LLAMACPP_Q4_HOST": "http://b:2"}
    assert backends_from_env(env)["q4"].base_url == "http://a:1"


def test_a_roles_own_key_wins_over_the_common_one():
    env = {"LLAMACPP_API_KEY": "all", "LLAMACPP_Q4_API_KEY": "q4", "LLAMACPP_CODER_BASE": "http://c:1"}
    keys = {role: endpoint.api_key for role, endpoint in backends_from_env(env).items()}
    assert keys == {"q4": "q4", "f16": "all", "coder": "all"}


@pytest.mark.parametrize("text", ["gpu:9000", "http://gpu:9000/", "http://gpu:9000/v1", "gpu:9000/v1/", " gpu:9000 "])
def test_an_address_may_be_written_in_several_ways(text):
    assert backends_from_env({"LLAMACPP_CODER_HOST": text})["coder"].base_url == "http://gpu:9000"


def test_an_empty_setting_is_none():
    assert not any_explicit({"LLAMACPP_Q4_BASE": " "})


@pytest.mark.parametrize(
    "text", ["ftp://gpu", "http://", "http://gpu:port", "http://gpu:99999", "two words", "http://a?b=c"]
)
def test_a_bad_address_names_its_variable(text):
    with pytest.raises(BadSetting, match=r"LLAMACPP_Q4_HOST: .* is not an address"):
        backends_from_env({"LLAMACPP_Q4_HOST": text})
