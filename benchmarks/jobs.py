"""`./kitty bench jobs [--json] [--quick] [--store sqlite|postgres|both]`: what durable jobs cost, and how they scale.

Real parts: the engine, the whole service over HTTP, the sandbox, a SQLite file, a PostgreSQL of its own. The model is a
script in a process of its own. The parts are in `of_jobs/`. All of a store is taken in one run: ratios travel between
machines, milliseconds do not. Exit code 1 where a goal was missed, or a job ran twice.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
from of_jobs import burst, engine, report, service, storm, workers
from of_jobs.processes import HALF_A_SECOND, TWO_SECONDS, be_a_model
from of_jobs.stores import PostgresStore, Store, stores

GOAL_MS = 400.0
"""At the median of a job over HTTP on SQLite, outside model and sandbox."""
GOAL_HEALTHZ_MS = 1000.0
"""At most, while 200 hand a job in at once and the jobs taken are worked off."""
GOAL_TIMES = 1.8
"""Two workers on PostgreSQL, beside one, with a model that sleeps for two seconds."""
WAITING = 1000


def measure(which: str, is_quick: bool) -> dict[str, Any]:
    """All figures, as `main` prints them. Raises: ImportError: no PostgreSQL is installed."""
    machine = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0], "load_before": _load()}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, stores(which, Path(folder)) as all_stores:
        states: list[str] = []
        for store in all_stores:
            found[store.name] = _of(store, Path(folder) / store.name, is_quick, states)
    return {"machine": {**machine, "load_after": _load()}, "quick": is_quick, "stores": found}


def _of(store: Store, folder: Path, is_quick: bool, states: list[str]) -> dict[str, Any]:
    """One store's; `states` are those of a typical job, where they are known, and are then known for later stores."""
    rounds, counts = (30, (1, 2)) if is_quick else (200, (1, 2, 4))
    folder.mkdir()
    figures: dict[str, Any] = {"engine_overhead_ms": asyncio.run(engine.overhead(store.fresh(), rounds))}
    _note(store, "the engine alone is measured")
    if isinstance(store, PostgresStore):
        store.with_fsync(True)
        figures["engine_overhead_with_fsync_ms"] = asyncio.run(engine.overhead(store.fresh(), rounds))
        store.with_fsync(False)
    figures["service_overhead"] = service.overhead(store, folder / "overhead", 10 if is_quick else 50)
    _note(store, "the service is measured")
    figures["typical_job"] = service.typical(store, folder / "typical", 1 if is_quick else 3)
    states.extend(figures["typical_job"].pop("states"))
    if states:
        figures["save_of_a_state"] = engine.saves(store.fresh(), max(states, key=len), rounds)
    figures["queue"] = asyncio.run(engine.queue(store.fresh(), WAITING))
    _note(store, "the queue is measured")
    figures["events"] = asyncio.run(engine.events(store.fresh(), 10 if is_quick else 50))
    if isinstance(store, PostgresStore):
        store.with_fsync(True)
    figures["storm"] = storm.storm(store, 2 if is_quick else 4)
    if isinstance(store, PostgresStore):
        store.with_fsync(False)
    _note(store, "the storm is over")
    figures["burst"] = burst.burst(store, folder / "burst")
    figures["idle"] = service.idle(store, folder / "idle", 20)
    jobs = 24 if is_quick else 48
    figures["throughput_quick_model"] = workers.throughput(store, folder, counts, jobs, HALF_A_SECOND)
    figures["throughput"] = workers.throughput(store, folder, (1, 2), jobs, TWO_SECONDS)
    _note(store, "done")
    return figures


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _note(store: Store, what: str) -> None:
    print(f"{store.name}: {what} (load {_load()})", file=sys.stderr)


def missed(figures: dict[str, Any]) -> Iterator[str]:
    """The goals that were not met."""
    for name, of_store in figures["stores"].items():
        added = of_store["service_overhead"]["outside_ms"]["p50"]
        if name == "sqlite" and added > GOAL_MS:
            yield f"{name}: {added:.0f} ms a job outside model and sandbox, not {GOAL_MS:g}"
        burst_of = of_store["burst"]
        if burst_of["healthz_ms"]["max"] > GOAL_HEALTHZ_MS:
            yield f"{name}: /healthz took up to {burst_of['healthz_ms']['max']:.0f} ms under a burst"
        if burst_of["lost"] or burst_of["refused_without_retry_after"]:
            yield f"{name}: {burst_of['lost']} jobs of a burst were lost, or refused without Retry-After"
        times = of_store["throughput"]["2"]["times_one_worker"]
        if name == "postgres" and times < GOAL_TIMES:
            yield f"{name}: two workers do {times:g} times what one does, not {GOAL_TIMES:g}"
        for of_count in (*of_store["throughput"].values(), *of_store["throughput_quick_model"].values()):
            if of_count["ran_twice"]:
                yield f"{name}: {of_count['ran_twice']} of {of_count['jobs']} jobs ran more than once"


def main() -> None:
    """Print the figures; exit 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="./kitty bench jobs", description="What durable jobs cost, how they scale.")
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both", help="default both")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, at most two workers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        port, delay_sec, chunk_chars = options.model
        be_a_model(int(port), float(delay_sec), int(chunk_chars))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    warnings.simplefilter("ignore")
    try:
        figures = measure(options.store, options.quick)
    except ImportError as error:
        print(f"bench jobs: no PostgreSQL ({error}): run ./kitty check once, or --store sqlite", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    failures = list(missed(figures))
    print(json.dumps(figures, indent=2) if options.json else "\n".join(report.lines(figures)))
    for failure in failures:
        print(f"missed: {failure}; the goals are for an idle machine", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
