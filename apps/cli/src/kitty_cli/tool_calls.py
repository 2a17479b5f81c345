"""`kitty-cli tools` and `kitty-cli confirm ID`: what can be called, and a person's word for a call that waits.

A call that needs two persons: the second one's `confirm` prints a signed approval, the first one's takes it.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kitty_cli.asking import listed
from kitty_cli.client import Service
from kitty_cli.command_name import command_name
from kitty_cli.errors import UsageProblem
from kitty_cli.exit_codes import ExitCode
from kitty_cli.gateway import call as ask_gateway
from kitty_cli.gateway import find_gateway
from kitty_cli.render import write_json
from kitty_cli.tool_list import tool_lines
from kitty_cli.tool_result import show_tool_result
from kitty_cli.visible import visible
from kitty_cli.waiting_call import argument_lines
from kitty_core.confirmation import read_reply
from kitty_core.settings import environment


def show_tools(as_json: bool) -> ExitCode:
    """All tools of the gateway, each in a line or two, and what commands they run."""
    answer = ask_gateway(find_gateway(None, environment()), "GET", "/api/tools")
    tools = listed(answer, "tools")
    if as_json:
        write_json(answer)
        return ExitCode.VERIFIED
    for tool in tools:
        print(visible("\n".join(tool_lines(tool))))
    return ExitCode.VERIFIED


def confirm(
    pending_id: str | None, message: str | None, as_json: bool, approval: str | None = None, out: Path | None = None
) -> ExitCode:
    """Says `message` to a call that waits; without one it shows the call and, on a terminal, asks.

    Args:
        approval: the file with the second person's approval, or `-`.
        out: where the approval goes that is given here, besides stdout.

    Raises:
        UsageProblem: no such call waits, there is nobody who could be asked, or the approval is none.
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
    if call.get("dualConfirm") and not call.get("isYours", True):
        return _approved(gateway, call, message, out)
    return _said(gateway, call, message, as_json, _read_approval(approval))


def _read_approval(place: str | None) -> dict[str, Any] | None:
    if place is None:
        return None
    try:
        document = json.loads(sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageProblem(f"--approval {place}: {error.strerror}.") from error
    except ValueError as error:
        raise UsageProblem(f"--approval {place}: that is no approval: {error}.") from error
    if not isinstance(document, dict):
        raise UsageProblem(f"--approval {place}: that is no approval.")
    return document


def _approved(gateway: Service, call: Mapping[str, Any], message: str, out: Path | None) -> ExitCode:
    """The second person's word: a signed approval, for the one who asked to hand in."""
    approval = ask_gateway(gateway, "POST", f"{_path(call)}/approve", _body(call, message))
    text = json.dumps(approval, indent=2)
    print(text)
    if out is not None:
        try:
            with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
        except OSError as error:
            raise UsageProblem(f"--out {out}: {error.strerror}. The approval is on stdout.") from error
    run = f"{command_name()} confirm {call['pendingId']} {shlex.quote(str(call['confirmationPhrase']))} --approval FILE"
    told = f"Approved until {approval.get('expires_at')}; nothing was run yet. {call['userId']} runs it: {run}"
    print(visible(told), file=sys.stderr)
    return ExitCode.VERIFIED


def _path(call: Mapping[str, Any]) -> str:
    return f"/api/confirmations/{quote(str(call['pendingId']), safe='')}"


def _body(call: Mapping[str, Any], message: str) -> dict[str, Any]:
    return {"message": message, "conversation_id": call["conversationId"]}


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


def _said(
    gateway: Service, call: Mapping[str, Any], message: str, as_json: bool, approval: Mapping[str, Any] | None
) -> ExitCode:
    body = _body(call, message) | ({"approval": approval} if approval else {})
    if call.get("dualConfirm") and approval is None and read_reply(message, call["confirmationPhrase"]) == "confirm":
        raise UsageProblem(f"Nothing was run: {call['pendingTool']} needs a second person.\n{_two(call)}")
    answer = ask_gateway(gateway, "POST", _path(call), body)
    if as_json:
        write_json(answer)
    elif answer.get("requiresConfirmation"):
        print("That is not the phrase; nothing was run, and the call still waits.", file=sys.stderr)
    elif answer["decision"] == "cancelled":
        print("Cancelled; nothing was run.", file=sys.stderr)
    else:
        show_tool_result(answer["result"])
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
    how = f"  To run it, say exactly: {call['confirmationPhrase']}\n  To cancel it: no"
    if call.get("dualConfirm"):
        how = f"{_two(call)}\n  To cancel it: no"
        if not call.get("isYours", True):
            how = f"  To approve it, say exactly: {call['confirmationPhrase']}"
    what = f"{call['pendingId']}: {call['pendingTool']} (hazard {call['hazardClass']}), asked by {call['userId']}, "
    lines = [f"{what}waits until {call['expiresAt']}", *argument_lines(call["arguments"]), how]
    return visible("\n".join(lines))


def _two(call: Mapping[str, Any]) -> str:
    words = f"{command_name()} confirm {call['pendingId']} {shlex.quote(str(call['confirmationPhrase']))}"
    return f"  A second admin approves it: {words} > FILE\n  Then you run it: {words} --approval FILE"
