"""Two hundred who hand a job in at the same moment: what the service answers, and whether it still says how it is."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx

from of_jobs.figures import quantile, resident_mb
from of_jobs.processes import INSTANT, REQUEST, coder_agent, scripted_model
from of_jobs.stores import Store

AT_ONCE = 200
QUEUE_LIMIT = 100
ASKED_EVERY_SEC = 0.05
WITHIN_SEC = 300.0


def burst(store: Store, folder: Path) -> dict[str, Any]:
    """How many were taken and refused, how many of those taken were lost, `/healthz` meanwhile, memory at its highest.

    The model answers at once and the sandbox is the real one, so that jobs run while others come in. A process of its
    own asks `/healthz`, from before the first of them until the last job has ended.
    """
    with (
        scripted_model(INSTANT) as model,
        coder_agent(model, store.fresh(), folder, jobs_queue_limit=QUEUE_LIMIT, coder_jobs_at_once=2) as (
            base,
            process,
        ),
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
    ):
        httpx.post(f"{base}/api/coding/generate", json=_asked(0), timeout=60, trust_env=False).raise_for_status()
        ended = folder / "ended"
        asking = pool.submit(ask_health, base, str(ended))
        while not ended.with_suffix(".asking").exists():
            time.sleep(0.05)
        before = resident_mb(process.pid)
        begun = time.perf_counter()
        answers = asyncio.run(_hand_in(base))
        handed_in = time.perf_counter() - begun
        taken = [answer.json()["job_id"] for answer in answers if answer.status_code == 202]
        refused = [answer for answer in answers if answer.status_code == 429]
        lost = _work_off(base, taken)
        worked_off = time.perf_counter() - begun
        ended.touch()
        health = asking.result()
        return {
            "handed_in": len(answers),
            "taken": len(taken),
            "refused": len(refused),
            "refused_without_retry_after": sum("retry-after" not in answer.headers for answer in refused),
            "lost": lost + len(answers) - len(taken) - len(refused),
            "answered_within_s": round(handed_in, 2),
            "worked_off_within_s": round(worked_off, 1),
            "healthz_ms": _of_health(health),
            "memory_mb": {"before": before, "highest": resident_mb(process.pid, highest=True)},
        }


def _asked(number: int) -> dict[str, str]:
    return {"request": f"{REQUEST} # {number}", "tier": "fast"}


async def _hand_in(base: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=base, timeout=60, trust_env=False, limits=limits) as http:
        asked = (http.post("/api/coding/jobs", json=_asked(number)) for number in range(1, AT_ONCE + 1))
        return list(await asyncio.gather(*asked))


def _work_off(base: str, ids: Sequence[str]) -> int:
    """Waits until all have ended; returns how many did not end well."""
    until = time.monotonic() + WITHIN_SEC
    with httpx.Client(base_url=base, timeout=60, trust_env=False) as http:
        while time.monotonic() < until:
            jobs = {job["job_id"]: job for job in http.get("/api/coding/jobs?limit=500").json()["jobs"]}
            if all(jobs[id]["finished_at"] for id in ids if id in jobs):
                break
            time.sleep(0.5)
        return sum(jobs.get(id, {}).get("verdict") != "verified" for id in ids)


def ask_health(base: str, until: str) -> list[float]:
    """Seconds of each answer of `/healthz`, until the file `until` is there; inf where there was none."""
    took = []
    ended = Path(until)
    with httpx.Client(base_url=base, timeout=10, trust_env=False) as http:
        while not ended.exists():
            begun = time.perf_counter()
            try:
                http.get("/healthz").raise_for_status()
                took.append(time.perf_counter() - begun)
            except httpx.HTTPError:
                took.append(float("inf"))
            ended.with_suffix(".asking").touch()
            time.sleep(ASKED_EVERY_SEC)
    return took


def _of_health(took: Sequence[float]) -> dict[str, float]:
    named = {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99), "max": max(took)}
    return {"asked": len(took), **{name: round(1000 * seconds, 1) for name, seconds in named.items()}}
