"""Where a tool is: variables, servers, addresses that are refused, and the gateway's own address."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitty_core.errors import ConfigurationError
from kitty_core.registry import RegistryProblem, backing_url
from kitty_core.registry.reading import read_registry

BACKING = {"/api/coding": "http://127.0.0.1:8092", "/api/memory": "http://memory:8765/"}


def url_of(entry, env=None):
    """The url of a tool `coding.generate` with the given lines."""
    text = "coding.generate:\n" + "".join(f"  {line}\n" for line in entry)
    return read_registry("tools.yaml", text.encode(), env or {}).find("coding.generate").url


@pytest.mark.parametrize(
    ("url", "env", "wanted"),
    [
        ("${BASE}/x", {"BASE": "http://h:1"}, "http://h:1/x"),
        ("${BASE:-http://d:2}/x", {"BASE": "http://h:1"}, "http://h:1/x"),
        ("${BASE:-http://d:2}/x", {}, "http://d:2/x"),
        ("${BASE:-http://d:2}/x", {"BASE": ""}, "http://d:2/x"),
        ("${BASE}/x", {"BASE": "http://h:1/"}, "http://h:1/x"),
        ("http://${HOST}:${PORT}${PREFIX:-}/x?a=$1", {"HOST": "h", "PORT": "1"}, "http://h:1/x?a=$1"),
        ("${BASE}/x", {"BASE": "http://h/${OTHER}"}, None),
    ],
)
def test_variables_in_a_url_are_expanded_once(url, env, wanted):
    if wanted is None:
        assert url_of([f"url: {url}", "method: GET"], env) == "http://h/${OTHER}/x"
    else:
        assert url_of([f"url: {url}", "method: GET"], env) == wanted


@pytest.mark.parametrize(
    ("server", "env", "wanted"),
    [
        ("coder-agent", {}, "http://127.0.0.1:8092/api/coding/generate"),
        ("coder_agent", {}, "http://127.0.0.1:8092/api/coding/generate"),
        (
            "coder-agent",
            {"CODER_AGENT_BASE": "http://coder-agent:8092/"},
            "http://coder-agent:8092/api/coding/generate",
        ),
        ("cad", {"CAD_BASE": "https://cad.local/v1"}, "https://cad.local/v1/api/coding/generate"),
        ("http://box:9000", {}, "http://box:9000/api/coding/generate"),
        ('"${BOX:-http://box:9000}"', {}, "http://box:9000/api/coding/generate"),
    ],
)
def test_a_server_gives_the_address_of_its_tools(server, env, wanted):
    assert url_of([f"server: {server}"], env) == wanted


@pytest.mark.parametrize(
    ("lines", "env", "problem"),
    [
        (["method: GET", "url: '${BASE}/x'"], {}, "3: coding.generate.url: ${BASE} is not set"),
        (["method: GET", "url: '${A}${B}/x'"], {"B": ""}, "3: coding.generate.url: ${A}, ${B} is not set"),
        (["method: GET", "url: 'http://${A-x}/x'"], {"A": "a"}, "3: coding.generate.url: holds a ${ that is not"),
        (["method: GET", "url: 'http://${A'"], {"A": "a"}, "3: coding.generate.url: holds a ${ that is not"),
        (["method: GET", "url: /x"], {}, "3: coding.generate.url: is no absolute address"),
        (["method: GET", "url: ftp://h/x"], {}, "3: coding.generate.url: is no absolute address"),
        (["method: GET", "url: 'http:///x'"], {}, "3: coding.generate.url: is no absolute address"),
        (["method: GET", "url: 'http://h:x/x'"], {}, "3: coding.generate.url: is no address"),
        (["method: GET", "url: 'http://[::1/x'"], {}, "3: coding.generate.url: is no address"),
        (["method: GET", "url: 'http://u:p@h/x'"], {}, "3: coding.generate.url: holds a user name or password"),
        (["method: GET", "url: 'http://h/a/../b'"], {}, "3: coding.generate.url: holds a path that leads elsewhere"),
        (
            ["method: GET", "url: 'http://h/a/%2E%2e/b'"],
            {},
            "3: coding.generate.url: holds a path that leads elsewhere",
        ),
        (["method: GET", "url: 'http://h/a%2fb'"], {}, "3: coding.generate.url: holds a path that leads elsewhere"),
        (["method: GET", "url: 'http://h/x#y'"], {}, "3: coding.generate.url: holds a #"),
        (["method: GET", "url: 'http://h/a b'"], {}, "3: coding.generate.url: holds a space"),
        (["method: GET", 'url: "http://h/a\\tb"'], {}, "3: coding.generate.url: holds a space"),
        (["method: GET", "url: 'http://h\\evil/a'"], {}, "3: coding.generate.url: holds a space, a backslash"),
        (["method: GET", "url: 'http://hé/a'"], {}, "3: coding.generate.url: holds a space, a backslash or a letter"),
        (["server: cad"], {}, "2: coding.generate.server: is no service of the house (brain, broker, coder-agent"),
        (["server: ../x"], {}, "2: coding.generate.server: is neither a name (such as coder-agent) nor an address"),
        (["server: 'http://u@h'"], {}, "2: coding.generate.server: holds a user name or password"),
        (["server: '${BASE}'"], {}, "2: coding.generate.server: ${BASE} is not set"),
        (["server: brain"], {"BRAIN_BASE": "nonsense"}, "2: coding.generate.server: is no absolute address"),
        (["server: 'http://h?a=b'"], {}, "2: coding.generate.server: a server's address has no ?"),
        (["server: brain", "url: 'http://h/x'"], {}, "3: coding.generate.url: beside a server it must be a path"),
        (["server: brain", "url: '/${A}'"], {}, "3: coding.generate.url: ${A} is not set"),
    ],
)
def test_an_address_that_is_none_is_refused_with_its_line(lines, env, problem):
    with pytest.raises(RegistryProblem) as refused:
        url_of(lines, env)
    (found,) = refused.value.problems
    assert found.startswith(f"tools.yaml:{problem}")


def test_no_message_shows_the_value_of_a_variable():
    env = {"KEY": "s3cret word"}
    with pytest.raises(RegistryProblem) as refused:
        url_of(["method: GET", "url: 'http://h/x?key=${KEY}'"], env)
    assert "s3cret" not in str(refused.value)


def mapped(url):
    return backing_url(url, names={"gateway", "kitty.example"}, port=8080, backing=BACKING)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://gateway:8080/api/coding/generate", "http://127.0.0.1:8092/api/coding/generate"),
        ("http://gateway/api/coding/generate?x=1", "http://127.0.0.1:8092/api/coding/generate?x=1"),
        ("http://GATEWAY.:8080/api/memory/search", "http://memory:8765/api/memory/search"),
        ("https://kitty.example/api/coding", "http://127.0.0.1:8092/api/coding"),
        ("http://127.0.0.1:8080/api/coding/fix", "http://127.0.0.1:8092/api/coding/fix"),
        ("http://127.8.0.1:8080/api/coding/fix", "http://127.0.0.1:8092/api/coding/fix"),
        ("http://localhost:8080/api/coding/fix", "http://127.0.0.1:8092/api/coding/fix"),
        ("http://[::1]:8080/api/coding/fix", "http://127.0.0.1:8092/api/coding/fix"),
        ("http://0.0.0.0:8080/api/coding/fix", "http://127.0.0.1:8092/api/coding/fix"),
        ("http://127.0.0.1:8777/exec", "http://127.0.0.1:8777/exec"),
        ("http://other:8080/api/coding/fix", "http://other:8080/api/coding/fix"),
        ("http://notgateway:8080/api/coding/fix", "http://notgateway:8080/api/coding/fix"),
        ("https://127.0.0.1/api/coding/fix", "https://127.0.0.1/api/coding/fix"),
    ],
)
def test_a_url_that_points_at_the_gateway_is_mapped_to_what_is_behind_it(url, wanted):
    assert mapped(url) == wanted


@pytest.mark.parametrize("path", ["/api/tools/coding.generate", "/api/codingx", "/api", "/", ""])
def test_the_gateway_never_asks_itself(path):
    with pytest.raises(ConfigurationError, match="points at the gateway itself"):
        mapped(f"http://gateway:8080{path}")


def test_the_longest_prefix_counts():
    backing = {"/api": "http://a", "/api/coding": "http://b", "/": "http://c"}

    def base(path):
        return backing_url(f"http://gateway{path}", names={"gateway"}, port=8080, backing=backing)

    assert base("/api/coding/x") == "http://b/api/coding/x"
    assert base("/api/other") == "http://a/api/other"
    assert base("/other") == "http://c/other"


@settings(max_examples=50, deadline=None)
@given(path=st.from_regex(r"/api/(coding|memory)(/[a-z_]{1,8}){0,3}", fullmatch=True), port=st.integers(1, 65535))
def test_a_mapped_url_keeps_its_path_and_never_points_at_the_gateway_again(path, port):
    found = mapped(f"http://gateway:{port}{path}")
    assert found.endswith(path)
    assert mapped(found) == found
