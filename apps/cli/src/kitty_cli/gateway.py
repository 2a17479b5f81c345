"""The gateway over HTTP: where it is, and one question with one answer."""

from collections.abc import Mapping
from typing import Any

from kitty_cli.asking import ask
from kitty_cli.client import Service, healthz
from kitty_cli.command_name import command_name
from kitty_cli.errors import NotConfigured, ServiceIsGone
from kitty_cli.stack_record import gateway_of, read_stack

USUAL = "http://localhost:8080"
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
    try:
        return ask(service, method, path, body)
    except ServiceIsGone as error:
        raise is_gone(service) from error


def check_gateway(service: Service) -> None:
    """Returns where something answers as a service does; for what begins before it asks.

    Raises:
        NotConfigured: nothing does.
    """
    if healthz(service.base_url, HEALTH_WITHIN_SEC) is None:
        raise is_gone(service)


def is_gone(service: Service) -> NotConfigured:
    """The error that says how to have a gateway."""
    return NotConfigured(
        f"No gateway answers at {service.base_url}. Start the stack with `{command_name()} up`, or set KITTY_API_BASE."
    )
