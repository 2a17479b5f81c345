"""Whatever a caller sends: it is refused, or ends up as one item, never as an option and never outside."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.allowlist import Argument, Command, fill
from broker.errors import BadArguments

ARGUMENTS = {
    "text": Argument("text", "string", "", pattern=re.compile(".*", re.DOTALL)),
    "named": Argument("named", "string", "", option="--named", pattern=re.compile(".*", re.DOTALL)),
    "path": Argument("path", "path", "", max_items=3),
    "flag": Argument("flag", "boolean", "", flag="--flag"),
    "count": Argument("count", "integer", "", option="--count", least=-5, most=5),
}
COMMAND = Command(
    "a", "", "p", "/p", ("{flag}", "{named}", "{count}", "{text}", "{path}"), ARGUMENTS, "none", 1, 1, workspace=True
)
ANY_TEXT = (
    st.text() | st.text(alphabet="-=./~$;\n\x00 ab") | st.sampled_from(["..", "-x", "--output=x", "/etc", "a/../b"])
)
ANY_VALUE = ANY_TEXT | st.integers() | st.booleans() | st.none() | st.floats() | st.lists(ANY_TEXT, max_size=4)

BY_NAME = {
    "text": ANY_TEXT,
    "named": ANY_TEXT,
    "path": st.lists(ANY_TEXT, min_size=1, max_size=3),
    "flag": st.booleans(),
    "count": st.integers(-6, 6),
    "workspace": ANY_TEXT,
}
ONE = st.sampled_from(sorted(BY_NAME)).flatmap(lambda name: st.fixed_dictionaries({name: BY_NAME[name]}))
"""One argument at a time: of several, one is nearly always refused."""
ANYTHING = st.dictionaries(st.sampled_from([*ARGUMENTS, "workspace"]) | ANY_TEXT, ANY_VALUE, max_size=5)


@settings(deadline=None, max_examples=300)
@given(ONE | ANYTHING)
def test_what_is_not_refused_is_safe(args):
    try:
        filled = fill(COMMAND, args)
    except BadArguments:
        return
    for item in filled.argv:
        assert not re.search("[\x00-\x1f\x7f]", item)
        assert not item.startswith("-") or re.match(r"--(flag$|named=|count=-?[0-5]$)", item)
    for _, path, _ in filled.paths:
        assert f"./{path}" in filled.argv
        assert not path.startswith("/")
        assert ".." not in path.split("/")
    assert ".." not in filled.workspace.split("/")
