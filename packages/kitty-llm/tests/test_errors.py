from kitty_llm import ContextOverflow, LLMError, ModelUnavailable, Stalled


def test_the_docstring_is_the_default_message():
    assert str(Stalled()) == "The model server accepted the request and then sent nothing."


def test_unavailable_names_every_url_and_what_to_do():
    error = ModelUnavailable(["http://a", "http://b"], "Start one.")
    assert str(error) == "No model server answered. Tried: http://a, http://b. Start one."


def test_overflow_names_by_how_many_tokens():
    assert "28 too many" in str(ContextOverflow(tokens_over=28, n_prompt_tokens=4000, n_ctx=4096))


def test_every_error_has_its_own_code():
    def tree(kind: type[LLMError]) -> list[type[LLMError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]

    codes = [kind.code for kind in tree(LLMError)]
    assert len(codes) == len(set(codes))
