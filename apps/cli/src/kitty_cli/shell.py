"""`kitty-cli shell`: one conversation, line by line. What begins with a slash is for the shell, all else is said.

line ─┬─ /help /agent /model /models /tools /confirm /trace /new /exit
      └─ text ─> `saying.ask` ─> answer; a call that waits is confirmed by its phrase, or by /confirm

On a terminal with history and completion; from a pipe each line is said, and the shell ends with the pipe.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx

from kitty_cli.asking import listed
from kitty_cli.client import Service
from kitty_cli.command_name import command_name
from kitty_cli.directives import Saying, read_directives, slash_word
from kitty_cli.errors import CliError, Terminated
from kitty_cli.exit_codes import ExitCode
from kitty_cli.gateway import call, check_gateway, find_gateway
from kitty_cli.progress import display_for
from kitty_cli.saying import Answer, ask, body_of, confirmation_lines, text_of, trace_lines
from kitty_cli.tool_list import command_lines
from kitty_cli.translate import translate
from kitty_cli.visible import visible
from kitty_core.confirmation import read_reply
from kitty_core.settings import environment
from kitty_core.state import state_dir

if TYPE_CHECKING:
    from prompt_toolkit.history import History

COMMANDS: Mapping[str, str] = {
    "/help": "what there is",
    "/agent on|off": "whether tools may be called",
    "/model NAME": "which model answers; without a name the usual one",
    "/models": "the models there are",
    "/tools": "the tools there are, and how dangerous",
    "/confirm": "let the call that waits run",
    "/trace": "the steps of the last answer",
    "/new": "begin another conversation",
    "/exit": "leave",
}
PROMPT = "kitty> "


class Shell:
    """The state of one session: how to ask, the conversation, the last answer."""

    def __init__(self, service: Service, say: Callable[[str], None] = print) -> None:
        self._service = service
        self._say = say
        self._saying = Saying("")
        self._conversation = uuid4().hex
        self._last: Answer | None = None
        self._phrase = ""
        """Of the call that waited last in this conversation."""
        self.has_ended = False

    def take(self, line: str) -> None:
        """Does what one line says.

        Raises:
            CliError: it could not be done; the session goes on.
        """
        word, _, rest = line.strip().partition(" ")
        if not word:
            return
        if not word.startswith("/"):
            self._ask(replace(self._saying, message=self._as_ordered(line)))
            return
        commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/agent": lambda _: self._direct(line),
            "/model": lambda name: self._direct(line) if name.strip() else self._forget_model(),
            "/models": lambda _: self._show_models(),
            "/tools": lambda words: self._direct(line) if words.strip() else self._show_tools(),
            "/confirm": self._confirm,
            "/trace": lambda _: self._trace(),
            "/new": lambda _: self._begin(),
            "/exit": lambda _: self._end(),
            "/quit": lambda _: self._end(),
        }
        command = commands.get(word.lower())
        if command is None:
            self._say(f"There is no {word}; /help shows what there is.")
        else:
            command(rest)

    def _direct(self, line: str) -> None:
        saying = read_directives(line, self._saying)
        self._saying = replace(saying, message="")
        if saying.message == line:
            self._say(f"{line.strip()} is not understood; /help shows what there is.")
        elif slash_word(saying.message):
            self.take(saying.message)
        elif saying.message.strip():
            self._ask(replace(saying, message=line))

    def _as_ordered(self, line: str) -> str:
        """An `/agent on` that holds stands at the head of each message; a word for a call that waits stays as it is."""
        is_reply = read_reply(line, self._phrase) != "neither"
        return f"/agent on\n{line}" if self._saying.use_agent and not is_reply else line

    def _forget_model(self) -> None:
        self._saying = replace(self._saying, model=None)
        self._say("The usual model answers.")

    def _ask(self, saying: Saying) -> None:
        with display_for(quiet=False) as display:
            answer = asyncio.run(ask(self._service, body_of(saying, self._conversation), display.say, None))
        self._last = answer
        self._phrase = str(answer.get("confirmationPhrase") or self._phrase)
        self._say(visible(text_of(answer)))
        if answer.get("requiresConfirmation"):
            for line in confirmation_lines(answer):
                self._say(line)

    def _confirm(self, words: str) -> None:
        phrase = (self._last or {}).get("confirmationPhrase")
        if not phrase:
            self._say(f"Nothing waits in this conversation; `{command_name()} confirm ID` takes any.")
        elif words.strip() and words.strip() != phrase:
            self._say(f"The phrase is: {phrase}")
        else:
            self._ask(replace(self._saying, message=str(phrase)))

    def _show_models(self) -> None:
        for model in listed(call(self._service, "GET", "/api/routing/models"), "models"):
            servers = model.pop("servers", None) or []
            self._say(visible(", ".join(str(value) for value in model.values() if value is not None)))
            for server in servers if len(servers) > 1 else []:
                self._say(visible(f"    {server['base_url']}: {server['state']}"))

    def _show_tools(self) -> None:
        for tool in listed(call(self._service, "GET", "/api/tools"), "tools"):
            state = "" if tool.get("enabled", True) else " (disabled)"
            self._say(visible(f"{tool.get('name')} [{tool.get('hazard_class')}]{state}: {tool.get('description', '')}"))
            for line in command_lines(tool):
                self._say(visible(f"    {line}"))

    def _trace(self) -> None:
        lines = trace_lines(self._last) if self._last else ["Nothing was said yet."]
        self._say(visible("\n".join(lines)))

    def _begin(self) -> None:
        self._conversation, self._last, self._phrase = uuid4().hex, None, ""
        self._say("A new conversation.")

    def _help(self, _: str) -> None:
        self._say("\n".join(f"{name:<16} {what}" for name, what in COMMANDS.items()))

    def _end(self) -> None:
        self.has_ended = True


def run_shell(api: str | None) -> ExitCode:
    """Runs a session until its end. Raises: NotConfigured: there is no gateway to talk with."""
    service = find_gateway(api, environment())
    check_gateway(service)
    shell = Shell(service, _print)
    for line in _lines():
        try:
            shell.take(line)
        except CliError as error:
            _print(visible(error.message))
        except httpx.HTTPError as error:
            _print(visible(translate(error).message))
        except Terminated:
            raise
        except KeyboardInterrupt:
            _print("Cancelled.")
        if shell.has_ended:
            break
    return ExitCode.VERIFIED


def _lines() -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter

    words = [part for name in COMMANDS for part in _spelt(name)]
    completer = WordCompleter(words, sentence=True)
    session: PromptSession[str] = PromptSession(PROMPT, history=_history(), completer=completer)
    while True:
        try:
            yield session.prompt()
        except EOFError:  # Ctrl-D leaves
            return
        except Terminated:
            raise
        except KeyboardInterrupt:  # Ctrl-C empties the line
            continue


def _history() -> "History":
    """What was typed before, in a file of this user's alone; that of this session, where there can be none."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        file = state_dir() / "shell-history"
        file.touch(mode=0o600)
        file.open("ab").close()
    except OSError as error:
        print(f"kitty-cli: what is typed is not kept for later: {error}", file=sys.stderr)
        return InMemoryHistory()
    return FileHistory(str(file))


def _spelt(command: str) -> list[str]:
    """`/agent on|off` as it can be typed: `/agent on` and `/agent off`."""
    word, _, rest = command.partition(" ")
    return [f"{word} {one}" for one in rest.split("|")] if "|" in rest else [word]


def _print(text: str) -> None:
    if text:
        print(text, flush=True)
