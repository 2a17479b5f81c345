"""`kitty-cli say`: one message to the brain, through the gateway, and its answer.

message ─┬─ /help /models /tools ─> as in the shell
         └─> POST /api/query/stream ─> steps on stderr ─> the answer on stdout
                                           └─ a call that waits for a person: how to confirm it
"""

import asyncio
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from kitty_cli import exit_codes
from kitty_cli.client import Service, follow
from kitty_cli.command_name import command_name
from kitty_cli.directives import Saying, read_directives, slash_word
from kitty_cli.errors import ServiceFailed, ServiceIsGone, ServiceRefused, UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.gateway import find_gateway, is_gone
from kitty_cli.progress import display_for
from kitty_cli.render import write_json
from kitty_cli.sse import Event
from kitty_cli.visible import visible
from kitty_cli.waiting_call import argument_lines
from kitty_core.settings import environment

Answer = Mapping[str, Any]
OBEYED_ALONE = ("/help", "/models", "/tools")
"""Of the shell's commands those that need no session."""


@dataclass(frozen=True)
class SayOptions:
    """The command line of `say`, as typed."""

    text: str
    agent: bool | None = None
    model: str | None = None
    conversation: str | None = None
    timeout: float | None = None
    as_json: bool = False
    quiet: bool = False
    api: str | None = None


def say(options: SayOptions) -> ExitCode:
    """Says it once. Exit status: see `status_of`."""
    saying = read_directives(options.text, Saying("", options.agent, options.model))
    if not saying.message.strip():
        raise UsageProblem(f"There is nothing to say. For example: {command_name()} say 'write fib(n), with tests'")
    service = find_gateway(options.api, environment())
    if word := slash_word(saying.message):
        return _obey(service, word, options.as_json)
    body = body_of(replace(saying, message=options.text), options.conversation or uuid4().hex)
    with display_for(options.quiet) as display:
        answer = asyncio.run(ask(service, body, lambda line: display.say(line), options.timeout))
    if options.conversation and not options.quiet and begins_anew(answer):
        told = f"Nothing is remembered of conversation {options.conversation}: it begins here."
        print(f"kitty-cli: {visible(told)}", file=sys.stderr)
    if options.as_json:
        write_json(answer)
    else:
        show(answer, options.quiet)
    return status_of(answer)


def _obey(service: Service, word: str, as_json: bool) -> ExitCode:
    from kitty_cli.shell import Shell

    if word not in OBEYED_ALONE:
        raise UsageProblem(
            f"`say` does not obey {word} as it stands. A text may begin with /agent on|off, /model NAME, "
            f"{', '.join(OBEYED_ALONE)}. `{command_name()} shell` has more, `{command_name()} confirm` lets a call run."
        )
    lines: list[str] = []
    Shell(service, lines.append).take(word)
    if as_json:
        write_json({"result": {"output": "\n".join(lines)}})
    else:
        print("\n".join(lines))
    return ExitCode.VERIFIED


def body_of(saying: Saying, conversation_id: str) -> dict[str, Any]:
    """The request of `/api/query`."""
    body: dict[str, Any] = {"prompt": saying.message, "intent": "query", "conversationId": conversation_id}
    if saying.use_agent is not None:
        body |= {"useAgent": saying.use_agent, "toolMode": "auto" if saying.use_agent else "off"}
    return body | ({"modelAlias": saying.model} if saying.model else {})


async def ask(
    service: Service, body: Mapping[str, Any], on_step: Callable[[str], None], give_up_after_sec: float | None
) -> Answer:
    """The brain's answer; `on_step` is told what it does on the way.

    Raises:
        ServiceRefused, ServiceFailed, OutOfTime: as `client.follow` says, and where the brain gave up.
        NotConfigured: nothing answers there.
    """

    def tell(event: Event) -> None:
        if line := step_line(event):
            on_step(line)

    try:
        last = await follow(service, "/api/query/stream", body, tell, give_up_after_sec)
    except ServiceIsGone as error:
        raise is_gone(service) from error
    if last["type"] == "error":
        raise ServiceRefused(
            str(last.get("error") or "The brain gave no answer."), str(last.get("code") or "internal"), 200
        )
    answer = last.get("result")
    if not isinstance(answer, dict):
        raise ServiceFailed(f"The service at {service.base_url} gave an answer that is none. {service.hint}")
    return answer


def step_line(event: Event) -> str | None:
    """What a step is called in a line for people; None for what is not shown."""
    match event.get("type"):
        case "routing":
            return f"{event.get('route')}, answered by {event.get('tier')}"
        case "tool_start":
            return f"calls {event.get('tool')}"
        case "tool_end":
            return f"{event.get('tool')}: {event.get('status')} after {event.get('seconds')} s"
        case _:
            return None


def show(answer: Answer, quiet: bool) -> None:
    """The answer on stdout; on stderr what it took, and how to confirm what waits."""
    output = text_of(answer)
    if output:
        print(visible(output))
    if answer.get("requiresConfirmation"):
        print("\n".join(confirmation_lines(answer)), file=sys.stderr)
    if not quiet:
        for line in trace_lines(answer):
            print(f"kitty-cli: {visible(line)}", file=sys.stderr)


def text_of(answer: Answer) -> str:
    """What was answered, as it is."""
    output = (answer.get("result") or {}).get("output")
    return "" if output is None else str(output)


def begins_anew(answer: Answer) -> bool:
    """Whether the brain says that it remembered nothing of the conversation."""
    metadata = (answer.get("routing") or {}).get("metadata") or {}
    return metadata.get("remembered") == 0


def confirmation_lines(answer: Answer) -> list[str]:
    """How a person lets a waiting call run."""
    tool, pending = answer.get("pendingTool"), answer.get("pendingId")
    lines = [f"{tool} (hazard class {answer.get('hazardClass')}) waits for your word; nothing was run."]
    lines += argument_lines(answer.get("arguments"))
    if phrase := answer.get("confirmationPhrase"):
        conversation = shlex.quote(str(answer.get("conversationId")))
        lines.append(f'To run it: {command_name()} say "{phrase}" --conversation {conversation}')
    if pending:
        lines.append(f"Or: {command_name()} confirm {pending}")
    return [visible(line) for line in lines]


def trace_lines(answer: Answer) -> list[str]:
    """Who answered, each step, and the verdict on code."""
    routing = answer.get("routing") or {}
    metadata = routing.get("metadata") or {}
    lines = [f"conversation {answer.get('conversationId')}, answered by {routing.get('tier')}"]
    for step in metadata.get("agent_steps") or ():
        if isinstance(step, Mapping):
            lines.append(", ".join(f"{name}: {value}" for name, value in step.items() if _is_short(value)))
        else:
            lines.append(str(step))
    if verdict := _delivered(answer).get("verdict"):
        lines.append(f"verdict: {verdict}")
    return lines


def status_of(answer: Answer) -> ExitCode:
    """Of the code, where code was written or failed to be; 1 where a call waits; else 0: there is an answer."""
    if answer.get("requiresConfirmation"):
        return ExitCode.NOT_VERIFIED
    data = _delivered(answer)
    if verdict := data.get("verdict"):
        return exit_codes.for_verdict(verdict)
    http_status = data.get("status")
    if isinstance(http_status, int) and http_status >= 400:  # a problem document
        return exit_codes.for_error(data.get("error_code") or data.get("code"), http_status, data.get("service"))
    return ExitCode.VERIFIED


def _delivered(answer: Answer) -> Mapping[str, Any]:
    """The result of the tool whose work was handed on, as it came; empty where there is none."""
    data = (answer.get("result") or {}).get("data")
    return data if isinstance(data, Mapping) else {}


def _is_short(value: object) -> bool:
    return value is not None and len(str(value)) <= 120
