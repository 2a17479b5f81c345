import pytest

from kitty_models.discover import Endpoint, any_explicit, backends_from_env, base_url, distinct_servers
from kitty_models.errors import BadSetting


def bases(env, role):
    return [server.base_url for server in backends_from_env(env)[role]]


def test_without_any_setting_the_default_ports_are_assumed():
    assert backends_from_env({}) == {
        "q4": (Endpoint("http://localhost:8083", None, explicit=False),),
        "f16": (Endpoint("http://localhost:8082", None, explicit=False),),
        "coder": (Endpoint("http://localhost:8082", None, explicit=False),),
    }
    assert not any_explicit({})


@pytest.mark.parametrize("variable", ["LLAMACPP_F16_BASE", "LLAMACPP_F16_HOST"])
def test_the_coder_role_follows_the_f16_server(variable):
    env = {variable: "http://gpu:9000", "LLAMACPP_F16_API_KEY": "k"}
    assert backends_from_env(env)["coder"] == (Endpoint("http://gpu:9000", "k", explicit=True),)
    assert any_explicit(env)


def test_base_wins_over_host():
    env = {"LLAMACPP_Q4_BASE": "http://a:1", "LLAMACPP_Q4_HOST": "http://b:2"}
    assert bases(env, "q4") == ["http://a:1"]


def test_a_roles_own_key_wins_over_the_common_one():
    env = {"LLAMACPP_API_KEY": "all", "LLAMACPP_Q4_API_KEY": "q4", "LLAMACPP_CODER_BASE": "http://c:1"}
    keys = {role: server.api_key for role, [server] in backends_from_env(env).items()}
    assert keys == {"q4": "q4", "f16": "all", "coder": "all"}


@pytest.mark.parametrize("text", ["gpu:9000", "http://gpu:9000/", "http://gpu:9000/v1", "gpu:9000/v1/", " gpu:9000 "])
def test_an_address_may_be_written_in_several_ways(text):
    assert bases({"LLAMACPP_CODER_HOST": text}, "coder") == ["http://gpu:9000"]


def test_an_empty_setting_is_none():
    assert not any_explicit({"LLAMACPP_Q4_BASE": " "})


@pytest.mark.parametrize(
    "text", ["ftp://gpu", "http://", "http://gpu:port", "http://gpu:99999", "two words", "http://a?b=c"]
)
def test_a_bad_address_names_its_variable(text):
    with pytest.raises(BadSetting, match=r"LLAMACPP_Q4_HOST: .* is not an address"):
        backends_from_env({"LLAMACPP_Q4_HOST": text})


def test_a_variable_may_name_several_servers_and_each_counts_once():
    env = {"LLAMACPP_F16_BASE": " a:1, http://b:2/ ,http://a:1/v1,, ", "LLAMACPP_F16_API_KEY": "k"}
    assert bases(env, "f16") == bases(env, "coder") == ["http://a:1", "http://b:2"]
    assert {(server.api_key, server.explicit) for server in backends_from_env(env)["f16"]} == {("k", True)}


def test_each_server_is_told_once_with_its_roles_the_coders_first():
    servers = distinct_servers({"LLAMACPP_CODER_BASE": "c:1,shared:2", "LLAMACPP_Q4_BASE": "q:3,shared:2"})
    assert [(server.base_url, roles) for server, roles in servers.items()] == [
        ("http://c:1", ("coder",)),
        ("http://shared:2", ("coder", "q4")),
        ("http://localhost:8082", ("f16",)),
        ("http://q:3", ("q4",)),
    ]


@pytest.mark.parametrize("text", ["gpu:1, two words", "http://", ",", "gpu:1,ftp://b", "gpu:1;gpu:2"])
def test_one_bad_address_of_several_names_the_variable(text):
    with pytest.raises(BadSetting, match=r"LLAMACPP_CODER_BASE: .* is not an address"):
        backends_from_env({"LLAMACPP_CODER_BASE": text})


def test_one_address_is_no_list():
    with pytest.raises(BadSetting, match="BRAIN_BASE"):
        base_url("http://a:1,b", "BRAIN_BASE")
