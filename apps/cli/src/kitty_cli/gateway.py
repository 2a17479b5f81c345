"""The gateway over HTTP: where it is, and one question with one answer."""

from collections.abc import Mapping
from typing import Any

import httpx

from kitty_cli.client import CONNECT_WITHIN_SEC, Service, as_content, headers_for, healthz, refusal
from kitty_cli.command_name import command_name
from kitty_cli.errors import NotConfigured, ServiceFailed
from kitty_cli.stack_record import gateway_of, read_stack

USUAL = "http://localhost:8080"
ANSWERS_WITHIN_SEC = 3600.0
"""A tool may take that long; the gateway has its own deadline."""
HEALTH_WITHIN_SEC = 10.0


def find_gateway(api: str | None, env: Mapping[str, str]) -> Service:
    """The gateway of `api` or KITTY_API_BASE, that of the stack that `up` started, or the usual address."""
    named = (api or env.get("KITTY_API_BASE", "")).strip().rstrip("/")
    return Service(named or gateway_of(read_stack()) or USUAL, env.get("KITTY_API_KEY") or None)


def call(service: Service, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON object that answers.

    Raises:
        ServiceRefused: the answer is a problem document.
        ServiceFailed: it is no answer of a gateway.
        NotConfigured: nothing answers there, or its address is none, or the key.
        UsageProblem: the body is no text.
    """
    content, headers = None if body is None else as_content(body), headers_for(service)
    timeout = httpx.Timeout(ANSWERS_WITHIN_SEC, connect=CONNECT_WITHIN_SEC)
    try:
        with httpx.Client(trust_env=False, timeout=timeout, headers=headers) as http:
            answer = http.request(method, f"{service.base_url}{path}", content=content)
        document = None if answer.is_error else answer.json()
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotConfigured(f"{service.base_url} is not an address: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise is_gone(service) from error
    except (httpx.HTTPError, ValueError) as error:
        raise ServiceFailed(f"{service.base_url} broke off, or is no gateway ({type(error).__name__}).") from error
    if answer.is_error:
        raise refusal(service, path, answer, answer.content)
    if not isinstance(document, dict):
        raise ServiceFailed(f"{service.base_url}{path} answered something that is no answer of a gateway.")
    return document


def check_gateway(service: Service) -> None:
    """Returns where something answers as a service does; for what begins before it asks.

    Raises:
        NotConfigured: nothing does.
    """
    if healthz(service.base_url, HEALTH_WITHIN_SEC) is None:
        raise is_gone(service)


def listed(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of this name in an answer.

    Raises:
        ServiceFailed: there is none.
    """
    found = document.get(name)
    if not isinstance(found, list):
        raise ServiceFailed(f"The gateway sent no list of {name}.")
    return [entry if isinstance(entry, dict) else {"name": entry} for entry in found]


def is_gone(service: Service) -> NotConfigured:
    """The error that says how to have a gateway."""
    return NotConfigured(
        f"No gateway answers at {service.base_url}. Start the stack with `{command_name()} up`, or set KITTY_API_BASE."
    )
