"""What is no plain function: each gets a sensible path, with a scripted model and the real sandbox."""

SCRIPT = "```python\nimport sys\n\n\nprint(sum(map(int, sys.stdin.read().split())))\n```"
SUM = "Write a program that reads numbers from stdin and prints their sum."


def test_a_script_is_run_on_the_examples_input_and_delivered_with_a_test_that_does_so(start):
    agent, _ = start(SCRIPT)
    answer = agent.generate(f"{SUM}\nExample input:\n1 2\nExample output:\n3\n", tier="fast").json()
    assert answer["verdict"] == "verified", answer["error"]
    assert "import solution" not in answer["tests"]
    assert "print(sum(" in answer["code"]


def test_a_script_that_prints_something_else_is_refined_with_what_went_wrong(start):
    agent, model = start([SCRIPT.replace("sum(map", "max(map"), SCRIPT])
    answer = agent.generate(f"{SUM}\nExample input:\n1 2\nExample output:\n3\n", tier="standard").json()
    assert answer["refinement_count"] == 1
    assert "print(sum(" in answer["code"]
    assert "2" in str(model.generations[1].messages[-2]["content"])


def test_a_script_is_backed_by_another_that_prints_the_same_for_other_inputs(start):
    request = f"{SUM}\nExample input:\n1 2\nExample output:\n3\n"
    loop = "```python\ntotal = 0\nfor word in input().split():\n    total += int(word)\nprint(total)\n```"
    agent, model = start([SCRIPT, loop])
    answer = agent.generate(request).json()
    assert answer["verdict"] == "verified", answer["error"]
    assert answer["evidence"]["inputs_compared"] >= 3
    assert len(model.generations) == 2


def test_a_script_that_prints_the_example_whatever_it_reads_is_not_verified(start):
    agent, _ = start("```python\nimport sys\n\nsys.stdin.read()\nprint(3)\n```")
    answer = agent.generate(f"{SUM}\nExample input:\n1 2\nExample output:\n3\n").json()
    assert answer["verdict"] == "not_verified"
    assert "the same value whatever goes in" in answer["error"]


def test_a_script_without_an_example_is_not_run_and_says_what_would_help(start):
    agent, model = start(SCRIPT)
    answer = agent.generate(SUM).json()
    assert answer["verdict"] == "not_verified", answer["test_output"]
    assert "its input and its output" in answer["error"]
    assert "print(sum(" in answer["code"]
    assert len(model.generations) == 1


def test_a_coroutine_is_awaited_by_its_tests(start):
    code = "```python\nimport asyncio\n\n\nasync def double(x):\n    await asyncio.sleep(0)\n    return x * 2\n```"
    agent, _ = start(code)
    answer = agent.generate("Write an async def double(x). double(2) == 4").json()
    assert answer["verdict"] == "verified", answer["error"]
    assert "asyncio.run(double(2)) == 4" in answer["tests"]


def test_a_generator_is_compared_as_a_list(start):
    code = "```python\ndef evens(n):\n    for k in range(0, n, 2):\n        yield k\n```"
    agent, _ = start(code)
    answer = agent.generate(
        "Write a generator evens(n) that yields the even numbers below n. evens(5) == [0, 2, 4]"
    ).json()
    assert answer["verdict"] == "verified", answer["error"]
    assert "list(evens(5)) == [0, 2, 4]" in answer["tests"]


def test_several_functions_are_all_delivered_and_each_ones_examples_count(start):
    code = (
        "```python\ndef to_celsius(f):\n    return (f - 32) * 5 / 9\n\n\n"
        "def to_fahrenheit(c):\n    return c * 9 / 5 + 32\n```"
    )
    agent, model = start(code)
    request = (
        "Write two functions to_celsius(f) and to_fahrenheit(c). to_celsius(212) == 100 and to_fahrenheit(0) == 32"
    )
    answer = agent.generate(request).json()
    assert answer["verdict"] == "verified", answer["error"]
    assert answer["evidence"]["examples"] == 2
    assert "from solution import to_celsius, to_fahrenheit" in answer["tests"]
    assert "with `to_celsius(f)`, `to_fahrenheit(c)`." in model.generations[0].messages[-2]["content"]


def test_what_the_request_says_of_every_result_chooses_between_samples(start):
    codes = ["return list(dict.fromkeys(a + b))", "return sorted(set(a + b))"]
    left = [f"```python\ndef merge(a, b):\n    {code}\n```" for code in codes]
    agent, _ = start(lambda messages: left.pop(0) if len(left) > 1 else left[0])
    request = (
        "Write merge(a, b) which returns a list of both, sorted in ascending order. merge([1, 2], [3]) == [1, 2, 3]"
    )
    answer = agent.generate(request).json()
    assert "sorted(set" in answer["code"]
    assert answer["evidence"]["properties"] >= 1
