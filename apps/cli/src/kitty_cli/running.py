"""`kitty-cli status` and `kitty-cli stop`: what `code` uses and what it left running."""

from collections.abc import Mapping
from typing import Any

from kitty_cli.client import ask_health
from kitty_cli.command_name import command_name
from kitty_cli.exit_codes import ExitCode
from kitty_cli.locate import named_service
from kitty_cli.reaching import describe_servers
from kitty_cli.render import write_json
from kitty_cli.resident import living_residents, port_wanted, stop_residents
from kitty_cli.stack import describe_stack, stack_lines
from kitty_cli.visible import visible
from kitty_core.settings import environment


def describe_services(stack: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each service `code` could use beside `stack`: its address, whether it was started here, its `/healthz`."""
    env = environment()
    ours = {resident.base_url: resident for resident in living_residents()}
    named = named_service(None, env)
    usual = named.base_url if named else f"http://127.0.0.1:{port_wanted(env)}"
    services = []
    in_stack = {program["base_url"] for program in (stack or {"programs": ()})["programs"]}
    for base_url in dict.fromkeys([usual, *ours]):
        if base_url in in_stack:
            continue
        resident, health = ours.get(base_url), ask_health(base_url)
        if resident is not None or health is not None or named is not None:
            pid = resident.pid if resident else None
            model = resident.wanted.model or resident.wanted.kind if resident else None
            started = resident.started if resident else None
            services.append({"base_url": base_url, "pid": pid, "model": model, "started": started, "health": health})
    return services


def show_status(as_json: bool) -> ExitCode:
    stack = describe_stack()
    services, servers = describe_services(stack), describe_servers(environment())
    if as_json:
        write_json({"stack": stack, "services": services, "model_servers": servers})
        return ExitCode.VERIFIED
    for line in [*(stack_lines(stack) if stack else ()), *map(service_line, services), *map(_server_line, servers)]:
        print(visible(line))
    if not services and not stack:
        print(f"Nothing is running. `{command_name()} code` starts what it needs.")
    return ExitCode.VERIFIED


def service_line(service: dict[str, Any]) -> str:
    """One service in one line."""
    health = service["health"]
    if health is None:
        state = "does not answer"
    else:
        servers = health.get("llm_servers") or {}
        models = ", ".join(f"{role} {state}" for role, state in servers.items() if isinstance(state, str))
        state = f"{health.get('status', 'answers')}, jobs running: {health.get('jobs_running', '?')}"
        state += f", models: {models}" if models else ""
    origin = f"started {service['started']} by {command_name()}, pid {service['pid']}" if service["pid"] else "not ours"
    return f"{service['base_url']}: {state} ({origin})"


def _server_line(server: dict[str, Any]) -> str:
    if "error" in server:
        return f"model servers: {server['error']}"
    return f"model server {server['base_url']} ({', '.join(server['roles'])}): {server['state']}"


def stop_all() -> ExitCode:
    """Stops what command lines started; a service somebody else started is left alone."""
    stopped = stop_residents()
    for resident in stopped:
        print(f"Stopped {resident.base_url} (pid {resident.pid}).")
    if not stopped:
        print(f"Nothing that {command_name()} started is running.")
    return ExitCode.VERIFIED
