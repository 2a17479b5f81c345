"""`./kitty bench fix [--base URL] [--tier T] [--json]`: how many of the faults in evals/modules are corrected.

Asks a coder-agent that runs (default http://127.0.0.1:8092), with the model it has. One fault after another: the module
with one wrong line and its tests. `exact`: the right module came back; `worse`: a test fails that passed before.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

MODULES = Path(__file__).parents[1] / "evals" / "modules"


def faults() -> Iterator[tuple[str, str, str, str]]:
    """Name, right code, wrong code and tests of each."""
    for line in (MODULES / "bugs.jsonl").read_text().splitlines():
        fault = json.loads(line)
        name = fault["module"]
        right = (MODULES / f"{name}.py").read_text()
        wrong = right.replace(f"{fault['right']}\n", f"{fault['wrong']}\n")
        yield name, right, wrong, (MODULES / f"{name}_checks.py").read_text()


def corrected(base: str, tier: str, fault: tuple[str, str, str, str]) -> dict[str, Any]:
    """What came of one."""
    name, right, wrong, tests = fault
    body = {"code": wrong, "tests": tests, "module": f"{name}.py", "tier": tier}
    begun = time.perf_counter()
    answer = httpx.post(f"{base}/api/coding/fix", json=body, timeout=900, trust_env=False).json()
    evidence = answer.get("evidence", {})
    return {
        "module": name,
        "verdict": answer.get("verdict") or answer.get("code"),
        "exact": answer.get("code") == right,
        "worse": evidence.get("trusted_passed", 0) < evidence.get("given_passed", 0),
        "lines_changed": sum(line[:1] in "+-" for line in answer.get("diff", "").splitlines()[2:]),
        "tries": answer.get("refinement_count"),
        "tokens": answer.get("usage", {}).get("completion_tokens"),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> None:
    """Print the figures; exit 1 where something was made worse, or fewer than half were corrected."""
    parser = argparse.ArgumentParser(prog="./kitty bench fix", description="How many faults of one line are corrected.")
    parser.add_argument("--base", default="http://127.0.0.1:8092")
    parser.add_argument("--tier", choices=("fast", "standard", "deep"), default="standard")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for fault in faults():
        rows.append(corrected(options.base, options.tier, fault))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), file=sys.stderr)
    fixed = [row for row in rows if row["verdict"] == "verified"]
    found = {
        "faults": len(rows),
        "corrected": len(fixed),
        "exact": sum(row["exact"] for row in rows),
        "worse": sum(row["worse"] for row in rows),
        "tokens": sum(row["tokens"] or 0 for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }
    print(json.dumps({**found, "rows": rows} if options.json else found, indent=2 if options.json else None))
    sys.exit(1 if found["worse"] or 2 * len(fixed) < len(rows) else 0)


if __name__ == "__main__":
    main()
