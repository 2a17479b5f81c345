"""Short calls of the gateway: one question, one JSON answer."""

from collections.abc import Mapping
from typing import Any

import httpx

from kitty_cli.client import CONNECT_WITHIN_SEC, Service, refusal
from kitty_cli.errors import NotConfigured, ServiceFailed, ServiceIsGone

ANSWER_WITHIN_SEC = 900.0
"""A call that a person confirms may be a whole job."""


def call(service: Service, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """The answer's JSON.

    Raises:
        ServiceRefused: it answered with a problem document.
        ServiceIsGone, ServiceFailed, NotConfigured: as `client.follow`.
    """
    headers = {"Authorization": f"Bearer {service.token}"} if service.token else {}
    timeout = httpx.Timeout(ANSWER_WITHIN_SEC, connect=CONNECT_WITHIN_SEC)
    try:
        answer = httpx.request(
            method, f"{service.base_url}{path}", json=body, headers=headers, timeout=timeout, trust_env=False
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotConfigured(f"{service.base_url} is not an address: {error}") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise ServiceIsGone(f"Nothing answers at {service.base_url}. {service.hint}") from error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServiceFailed(f"The connection to {service.base_url} broke off ({reason}). {service.hint}") from error
    if not answer.is_success:
        raise refusal(service, path, answer, answer.content)
    try:
        return answer.json()
    except ValueError as error:
        raise ServiceFailed(f"The service at {service.base_url} sent something that is no JSON.") from error
