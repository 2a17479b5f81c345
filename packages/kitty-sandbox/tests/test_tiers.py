"""The tiers below `full` contain the core of the corpus, and the result says which tier it was.

For `full` see `test_corpus`. `Attack.open_in` names what a tier lets through by its own description.
"""

import pytest
from corpus.attacks import ATTACKS
from stages import Stage, check_ending

STAGES = (
    Stage("ns-only", "setuid"),
    Stage("ns-only", "any"),
    Stage("landlock", "setuid"),
    Stage("landlock", "any"),
)
CORE = [name for name, attack in ATTACKS.items() if not attack.alone] + [
    "processes.fork_bomb",
    "resources.memory_at_once",
    "resources.memory_that_creeps",
    "resources.threads",
    "resources.spin_that_ignores_signals",
    "resources.output_flood",
    "resources.segmentation_fault",
]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=STAGES, ids=str)
def stage(request):
    return request.param


@pytest.fixture(scope="module")
def answer(stage):
    return stage.run(*CORE)


@pytest.fixture
def seen(answer):
    if "failed" in answer:
        pytest.skip("the stage did not run, which has a test of its own")
    return answer


def test_the_result_says_which_tier_it_was(stage, answer):
    assert "failed" not in answer, answer["failed"]
    assert (answer["status"]["available"], answer["status"]["sandbox_tier"]) == (True, stage.tier)
    assert answer["tiers"] == [stage.tier]


def test_nothing_is_left_over(seen):
    assert seen["left_over"] == []


@pytest.mark.parametrize("name", CORE)
def test_the_tier_contains_it(stage, seen, name):
    attack = ATTACKS[name]
    assert name in seen["together"]
    for mode in [mode for mode in ("together", "apart", "matrix") if name in seen[mode]]:
        ending, detail = seen[mode][name]
        if stage.lets_through(attack):
            assert ending == "escaped", f"the tier is said to let it through: {detail}"
        else:
            check_ending(stage, attack, mode, ending, detail)
