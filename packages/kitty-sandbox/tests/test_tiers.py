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
def seen(stage):
    return stage.run(*CORE)


def test_the_result_says_which_tier_it_was(stage, seen):
    assert (seen["status"]["available"], seen["status"]["sandbox_tier"]) == (True, stage.tier)
    assert set(seen["tiers"]) == {stage.tier}


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
