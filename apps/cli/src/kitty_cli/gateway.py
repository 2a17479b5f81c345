"""The gateway over HTTP: one question, one answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from kitty_cli import __name__ as package
from kitty_cli.errors import NotConfigured, ServiceFailed, ServiceIsGone, ServiceRefused

USUAL = "http://localhost:8080"
ANSWERS_WITHIN_SEC = 3600.0
"""A tool may take that long; the gateway has its own deadline."""


@dataclass(frozen=True)
class Gateway:
    """Where it is, and the key for it."""

    base_url: str
    key: str | None = None

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`. Raises: as `post`."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `body`.

        Raises:
            ServiceIsGone: nothing answers there.
            ServiceRefused: the answer is a problem document.
            ServiceFailed: it is no answer of a gateway.
        """
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"User-Agent": package} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        timeout = httpx.Timeout(ANSWERS_WITHIN_SEC, connect=5.0)
        try:
            with httpx.Client(trust_env=False, timeout=timeout, headers=headers) as http:
                answer = http.request(method, f"{self.base_url}{path}", json=body)
            document = answer.json()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NotConfigured(f"KITTY_API_BASE={self.base_url} is not an address: {error}") from error
        except httpx.ConnectError as error:
            hint = "Start it with python -m gateway.main, or set KITTY_API_BASE."
            raise ServiceIsGone(f"No gateway answers at {self.base_url}. {hint}") from error
        except (httpx.HTTPError, ValueError) as error:
            raise ServiceFailed(f"{self.base_url} broke off, or is no gateway ({type(error).__name__}).") from error
        if not isinstance(document, dict):
            raise ServiceFailed(f"{self.base_url}{path} answered something that is no answer of a gateway.")
        if answer.is_error:
            raise _refusal(self.base_url, answer.status_code, document)
        return document


def gateway_from(env: Mapping[str, str]) -> Gateway:
    """The gateway of KITTY_API_BASE and KITTY_API_KEY, or the usual one."""
    base_url = env.get("KITTY_API_BASE", "").strip().rstrip("/")
    return Gateway(base_url or USUAL, env.get("KITTY_API_KEY") or None)


def _refusal(base_url: str, status: int, problem: Mapping[str, Any]) -> ServiceRefused:
    code = str(problem.get("code") or "http_error")
    detail = str(problem.get("detail") or f"{base_url} answered {status}.")
    return ServiceRefused(detail + (" Set KITTY_API_KEY." if code == "unauthorized" else ""), code, status)
