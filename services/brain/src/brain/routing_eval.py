"""How many requests go the right way: `python -m brain.routing_eval evals/routing.jsonl --split report --base URL`.

Each request is said to a running brain (or gateway) by /api/query/stream. It counts as having reached the coding tool
when the brain has begun to call it; the connection is then closed, which ends the job. Without `--base` only the rules
are asked, and what they leave to the model counts as unsure.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from brain.delivery import CODING
from brain.directives import read_directive
from brain.router import route
from kitty_core.errors import ConfigurationError
from kitty_core.service_token import service_token

WITHIN_SEC = 600.0


@dataclass(frozen=True)
class Case:
    """One request, and whether it asks for code."""

    id: str
    split: str
    coding: bool
    text: str


@dataclass(frozen=True)
class Found:
    """Where it went: `tool`, `talk`, `unsure` (rules alone), or `error` with its reason."""

    case: Case
    went: str
    reason: str = ""

    @property
    def is_right(self) -> bool:
        """Whether that is where it should have gone."""
        return self.went == ("tool" if self.case.coding else "talk")


def read_cases(file: Path, split: str) -> list[Case]:
    """The cases of one half."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Case(row["id"], row["split"], row["coding"], row["text"]) for row in rows if row["split"] == split]


def by_rules(case: Case) -> Found:
    """What the rules say, without a model."""
    directive = read_directive(case.text)
    kind = "coding" if directive.tool else route(directive.request).kind
    return Found(case, "tool" if kind == "coding" else kind)


def by_brain(base_url: str, token: str | None) -> Callable[[Case], Found]:
    """Asks a running brain; each request is a conversation of its own."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = httpx.Client(base_url=base_url, headers=headers, trust_env=False, timeout=WITHIN_SEC)

    def ask(case: Case) -> Found:
        try:
            with client.stream("POST", "/api/query/stream", json={"prompt": case.text}) as response:
                if not response.is_success:
                    response.read()
                    return Found(case, "error", f"{response.status_code}: {response.text[:200]}")
                return _went(case, _events(response))
        except httpx.HTTPError as error:
            return Found(case, "error", f"{type(error).__name__}: {error}")

    return ask


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def _went(case: Case, events: Iterator[dict[str, Any]]) -> Found:
    for event in events:
        if event["type"] == "tool_start" and event["tool"].startswith(CODING):
            return Found(case, "tool")
        if event["type"] == "complete":
            return Found(case, "talk", event["result"]["result"]["output"][:200])
        if event["type"] == "error":
            return Found(case, "error", event["error"])
    return Found(case, "error", "the stream ended without a last event")


def report(found: Sequence[Found]) -> dict[str, Any]:
    """The two shares, and every case that went wrong."""
    coding = [one for one in found if one.case.coding]
    others = [one for one in found if not one.case.coding]
    return {
        "coding": len(coding),
        "coding_reached_the_tool": sum(one.is_right for one in coding),
        "others": len(others),
        "others_reached_no_tool": sum(one.went in ("talk", "unsure") for one in others),
        "unsure": sum(one.went == "unsure" for one in found),
        "wrong": [asdict(one) for one in found if not one.is_right],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report as JSON; progress goes to stderr. Exit code 1: a request ended in an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--split", choices=("tune", "report"), default="tune")
    parser.add_argument("--base", help="address of the brain or the gateway; without it the rules alone are asked")
    given = parser.parse_args(arguments)
    try:
        token = service_token(os.environ.get("KITTY_SERVICE_TOKEN")) if given.base else None
    except ConfigurationError as error:
        print(f"routing_eval: {error}", file=sys.stderr)
        return 3
    ask = by_brain(given.base, token) if given.base else by_rules
    found = []
    for case in read_cases(given.file, given.split):
        one = ask(case)
        print(f"{case.id} {one.went}{'' if one.is_right else ' (wrong)'}", file=sys.stderr)
        found.append(one)
    print(json.dumps(report(found), ensure_ascii=False, indent=2))
    return 1 if any(one.went == "error" for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
