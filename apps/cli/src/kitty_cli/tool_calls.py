"""`kitty-cli tools` and `kitty-cli confirm ID`: what can be called, and a person's word for a call that waits."""

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from kitty_cli.client import Service
from kitty_cli.command_name import command_name
from kitty_cli.errors import UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.gateway import call as ask_gateway
from kitty_cli.gateway import find_gateway, listed
from kitty_cli.render import write_json
from kitty_cli.visible import visible
from kitty_core.settings import environment


def show_tools(as_json: bool) -> ExitCode:
    """All tools of the gateway, each in a line or two."""
    answer = ask_gateway(find_gateway(None, environment()), "GET", "/api/tools")
    tools = listed(answer, "tools")
    if as_json:
        write_json(answer)
        return ExitCode.VERIFIED
    for tool in tools:
        says = "needs your word" if tool["requires_confirmation"] else "runs when called"
        state = says if tool["enabled"] else "switched off"
        print(visible(f"{tool['name']:<22} hazard {tool['hazard_class']:<7} {state}\n    {tool['description']}"))
    return ExitCode.VERIFIED


def confirm(pending_id: str | None, message: str | None, as_json: bool) -> ExitCode:
    """Says `message` to a call that waits; without one it shows the call and, on a terminal, asks.

    Raises:
        UsageProblem: no such call waits, or there is nobody who could be asked.
    """
    gateway = find_gateway(None, environment())
    waiting = listed(ask_gateway(gateway, "GET", "/api/confirmations"), "confirmations")
    if pending_id is None:
        return _show_all(waiting, as_json)
    call = next((call for call in waiting if call["pendingId"] == pending_id), None)
    if call is None:
        raise UsageProblem(f"No call {pending_id} of yours waits. `{command_name()} confirm` shows those that do.")
    if message is None:
        message = _asked(call)
    return _said(gateway, call, message, as_json)


def _asked(call: Mapping[str, Any]) -> str:
    print(_in_words(call), file=sys.stderr)
    if not sys.stdin.isatty():
        phrase = shlex.quote(str(call["confirmationPhrase"]))
        raise UsageProblem(f"Say it: {command_name()} confirm {call['pendingId']} {phrase}")
    print("> ", end="", file=sys.stderr, flush=True)
    said = sys.stdin.readline()
    if not said:
        raise UsageProblem("Nothing was said; nothing was run, and the call still waits.")
    return said


def _said(gateway: Service, call: Mapping[str, Any], message: str, as_json: bool) -> ExitCode:
    body = {"message": message, "conversation_id": call["conversationId"]}
    answer = ask_gateway(gateway, "POST", f"/api/confirmations/{quote(str(call['pendingId']), safe='')}", body)
    if as_json:
        write_json(answer)
    elif answer.get("requiresConfirmation"):
        print("That is not the phrase; nothing was run, and the call still waits.", file=sys.stderr)
    elif answer["decision"] == "cancelled":
        print("Cancelled; nothing was run.", file=sys.stderr)
    else:
        print(visible(json.dumps(answer["result"], indent=2, ensure_ascii=False)))
    is_well = answer.get("decision") == "cancelled" or answer.get("status") == "ok"
    return ExitCode.VERIFIED if is_well else ExitCode.NOT_VERIFIED


def _show_all(waiting: list[dict[str, Any]], as_json: bool) -> ExitCode:
    if as_json:
        write_json({"confirmations": waiting})
        return ExitCode.VERIFIED
    for call in waiting:
        print(_in_words(call))
    if not waiting:
        print("Nothing waits for you.", file=sys.stderr)
    return ExitCode.VERIFIED


def _in_words(call: Mapping[str, Any]) -> str:
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return visible(
        f"{call['pendingId']}: {call['pendingTool']} (hazard {call['hazardClass']}), asked by {call['userId']}, "
        f"waits until {call['expiresAt']}\n  with {arguments}\n"
        f"  To run it, say exactly: {call['confirmationPhrase']}\n  To cancel it: no"
    )
