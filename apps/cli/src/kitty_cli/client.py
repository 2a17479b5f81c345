"""A KITTY service over HTTP: one job or question, as a stream of events. Closing the stream cancels it."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kitty_cli import __name__ as package
from kitty_cli.command_name import command_name
from kitty_cli.errors import (
    CallWaits,
    CliError,
    NotConfigured,
    OutOfTime,
    ServiceFailed,
    ServiceIsGone,
    ServiceRefused,
    UsageProblem,
)
from kitty_cli.sse import Event, FrameParser
from kitty_cli.waiting_call import argument_lines

CONNECT_WITHIN_SEC = 5.0
SILENCE_SEC = 60.0
"""The service sends a comment every 10 s; so long without one it hangs."""
LAST = frozenset({"complete", "error"})


@dataclass(frozen=True)
class Service:
    """Where the coder-agent is, or the gateway."""

    base_url: str
    token: str | None = None
    log: Path | None = None
    """Its log file, when this command line started it."""

    @property
    def hint(self) -> str:
        return f"Its log: {self.log}" if self.log else "See the log of that service."


async def run_job(
    service: Service, body: Mapping[str, Any], on_event: Callable[[Event], None], give_up_after_sec: float | None
) -> Event:
    """Runs one coding job; as `follow`."""
    return await follow(service, "/api/coding/stream", body, on_event, give_up_after_sec)


async def follow(
    service: Service,
    path: str,
    body: Mapping[str, Any],
    on_event: Callable[[Event], None],
    give_up_after_sec: float | None,
) -> Event:
    """Posts `body` to `path`, which answers with events, and returns the last one, `complete` or `error`.

    Raises:
        ServiceIsGone: the connection was refused, nothing was sent.
        ServiceRefused: it answered with a problem document.
        CallWaits: a person has to confirm it first.
        ServiceFailed: the stream broke off or was not understood.
        OutOfTime: `give_up_after_sec` passed.
    """
    try:
        async with asyncio.timeout(give_up_after_sec):
            async for _, event in events(service, path, body):
                on_event(event)
                if event.get("type") in LAST:
                    return event
    except TimeoutError:
        raise OutOfTime(f"No result within {give_up_after_sec:g} s. Give it more time with --timeout.") from None
    raise ServiceFailed(f"The service at {service.base_url} ended the stream without a result. {service.hint}")


def whole_answer(
    service: Service, path: str, body: Mapping[str, Any], give_up_after_sec: float | None
) -> dict[str, Any]:
    """Posts `body` to `path`; the answer, once it is there, where it holds a verdict. Ctrl-C cancels the job.

    Raises:
        ServiceIsGone, ServiceRefused, CallWaits, ServiceFailed, OutOfTime: as `follow`.
    """
    url = f"{service.base_url}{path}"
    timeout = httpx.Timeout(give_up_after_sec, connect=CONNECT_WITHIN_SEC)
    try:
        response = httpx.post(
            url, content=as_content(body), headers=headers_for(service), timeout=timeout, trust_env=False
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotConfigured(f"{service.base_url} is not an address: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ServiceIsGone(f"Nothing answers at {service.base_url}. {service.hint}") from error
    except httpx.TimeoutException as error:
        raise OutOfTime(f"No result within {give_up_after_sec:g} s. Give it more time with --timeout.") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServiceFailed(f"The connection to {service.base_url} broke off ({reason}). {service.hint}") from error
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "verdict" in answer:
        return answer
    raise no_stream(service, path, response, response.content)


class NothingFollows(Exception):
    """204: there are no events behind the one that was named."""


async def events(
    service: Service,
    path: str,
    body: Mapping[str, Any] | None = None,
    last_id: int = 0,
    on_sign_of_life: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[int | None, Event]]:
    """The events that answer, each with its number where it has one: of a POST of `body`, or of a GET without one.

    Args:
        last_id: the last event that is known already.
        on_sign_of_life: called whenever anything comes, a comment too.

    Raises:
        NothingFollows: there are no more.
        ServiceIsGone, ServiceRefused, CallWaits, ServiceFailed: as `follow`.
    """
    url = f"{service.base_url}{path}"
    method, content = ("GET", None) if body is None else ("POST", as_content(body))
    headers = {**headers_for(service), "Accept": "text/event-stream"}
    headers |= {"Last-Event-ID": str(last_id)} if last_id else {}
    timeout = httpx.Timeout(SILENCE_SEC, connect=CONNECT_WITHIN_SEC)
    parser = FrameParser()
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=timeout, headers=headers) as http,
            http.stream(method, url, content=content) as response,
        ):
            if response.status_code == httpx.codes.NO_CONTENT:
                raise NothingFollows
            if response.status_code != httpx.codes.OK:
                raise no_stream(service, path, response, await response.aread())
            async for block in response.aiter_raw():
                on_sign_of_life()
                for event in parser.feed(block):
                    yield parser.last_id, event
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotConfigured(f"{service.base_url} is not an address: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ServiceIsGone(f"Nothing answers at {service.base_url}. {service.hint}") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServiceFailed(f"The connection to {service.base_url} broke off ({reason}). {service.hint}") from error


def no_stream(service: Service, path: str, response: httpx.Response, content: bytes) -> CliError:
    """What an answer says that is no stream: it is refused, or kept until a person confirms it."""
    if response.status_code != httpx.codes.ACCEPTED:
        return refusal(service, path, response, content)
    try:
        return call_waits(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return ServiceFailed(f"{service.base_url} answered 202, and nothing that could be confirmed. {service.hint}")


def call_waits(waiting: Mapping[str, Any]) -> CallWaits:
    """The error that says how to confirm a call. Raises: KeyError: `waiting` is no call that waits."""
    tool, pending = waiting["pendingTool"], waiting["pendingId"]
    phrase = waiting.get("confirmationPhrase")
    words = f"{command_name()} confirm {pending}" + (f" {shlex.quote(str(phrase))}" if phrase else "")
    what = f"{tool} (hazard class {waiting.get('hazardClass')}) waits for your word; nothing was run."
    return CallWaits("\n".join([what, *argument_lines(waiting.get("arguments")), f"To run it: {words}"]), waiting)


def headers_for(service: Service) -> dict[str, str]:
    """Raises: NotConfigured: the key holds what no header can."""
    headers = {"Content-Type": "application/json", "User-Agent": package}
    if service.token is None:
        return headers
    if not (service.token.isascii() and service.token.isprintable()):
        raise NotConfigured("KITTY_API_KEY or KITTY_SERVICE_TOKEN holds a character that no key has.")
    return {**headers, "Authorization": f"Bearer {service.token}"}


def as_content(body: Mapping[str, Any]) -> bytes:
    """Raises: UsageProblem: it holds bytes of a command line that are no text."""
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageProblem("What is to be sent is not UTF-8 text.") from error


def refusal(service: Service, path: str, response: httpx.Response, content: bytes) -> ServiceRefused:
    """What its problem document says, with what to do about it."""
    try:
        problem = httpx.Response(response.status_code, content=content).json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code") or {401: "unauthorized", 403: "forbidden"}.get(response.status_code, ""))
    detail = str(problem.get("detail") or f"{service.base_url} answered {response.status_code}.")
    if code == "unauthorized":
        detail += " Set KITTY_API_KEY (for a gateway) or KITTY_SERVICE_TOKEN (for a coder-agent)."
    if response.status_code == httpx.codes.NOT_FOUND and code in ("", "not_found"):  # no route, rather than no thing
        code, detail = (
            "not_found",
            f"{service.base_url} has no {path}: it is not a KITTY service, or not one that does this.",
        )
    retry = response.headers.get("retry-after")
    detail += f" Try again in {retry} s." if retry else ""
    return ServiceRefused(detail, code or "http_error", response.status_code, problem.get("service"))


def healthz(base_url: str, timeout_sec: float = 2.0) -> dict[str, Any] | None:
    """What `/healthz` says, whatever service it is, or None when none answers there."""
    try:
        health = httpx.get(f"{base_url}/healthz", timeout=timeout_sec, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return health if isinstance(health, dict) else None


def ask_health(base_url: str, timeout_sec: float = 2.0) -> dict[str, Any] | None:
    """The same, or None when it is no coder-agent."""
    health = healthz(base_url, timeout_sec)
    return health if health is not None and health.get("service") == "coder-agent" else None
