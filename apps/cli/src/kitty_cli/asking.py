"""One question to a KITTY service over HTTP, and its one answer. Streams of events are `client`'s."""

from collections.abc import Mapping
from typing import Any

import httpx

from kitty_cli.client import CONNECT_WITHIN_SEC, Service, as_content, headers_for, refusal
from kitty_cli.errors import NotConfigured, ServiceFailed, ServiceIsGone

ANSWERS_WITHIN_SEC = 3600.0
"""A tool may take that long; the gateway has its own deadline."""


def ask(
    service: Service,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    more_headers: Mapping[str, str] | None = None,
    within_sec: float = ANSWERS_WITHIN_SEC,
) -> dict[str, Any]:
    """The JSON object that answers.

    Raises:
        ServiceIsGone: the connection was refused, nothing was sent.
        ServiceRefused: the answer is a problem document.
        ServiceFailed: it is no answer of a KITTY service, or none came.
        NotConfigured: its address is none, or the key.
        UsageProblem: the body is no text.
    """
    content, headers = None if body is None else as_content(body), {**headers_for(service), **(more_headers or {})}
    timeout = httpx.Timeout(within_sec, connect=CONNECT_WITHIN_SEC)
    try:
        with httpx.Client(trust_env=False, timeout=timeout, headers=headers) as http:
            answer = http.request(method, f"{service.base_url}{path}", content=content)
        document = None if answer.is_error else answer.json()
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotConfigured(f"{service.base_url} is not an address: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ServiceIsGone(f"Nothing answers at {service.base_url}. {service.hint}") from error
    except (httpx.HTTPError, ValueError) as error:
        reason = type(error).__name__
        raise ServiceFailed(f"{service.base_url} broke off, or is no KITTY service ({reason}).") from error
    if answer.is_error:
        raise refusal(service, path, answer, answer.content)
    if not isinstance(document, dict):
        raise ServiceFailed(f"{service.base_url}{path} answered something that is no answer of a KITTY service.")
    return document


def listed(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of this name in an answer.

    Raises:
        ServiceFailed: there is none.
    """
    found = document.get(name)
    if not isinstance(found, list):
        raise ServiceFailed(f"The service sent no list of {name}.")
    return [entry if isinstance(entry, dict) else {"name": entry} for entry in found]
