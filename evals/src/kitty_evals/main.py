"""`python -m kitty_evals run FILE | report DIR…`: what was typed, and the exit status.

Exit status: 0 done · 2 usage · 3 configuration or no sandbox · 4 no model · 6 internal · 130 interrupted
"""

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from kitty_evals.errors import EvalError, ExitCode, ModelLost, ServiceLost, UsageProblem
from kitty_evals.folders import evals_dir, read_runs, run_dir
from kitty_evals.records import ArmName, make_folder
from kitty_evals.report import Report, make_report
from kitty_evals.table import show

TIERS = ("fast", "standard", "deep")


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status; the only place that turns errors into one."""
    typed = list(sys.argv[1:] if words is None else words)
    options = _parser().parse_args(typed)
    # A shell lets what it starts in the background ignore SIGINT, and SIGTERM ends the run by way of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    command: Callable[[argparse.Namespace], None] = run if options.command == "run" else report
    try:
        command(options)
    except EvalError as error:
        _say(str(error))
        if isinstance(error, ModelLost | ServiceLost):
            _say(f"To go on later: {resume_command(typed)}")
        return error.status
    except KeyboardInterrupt:
        _say(f"Interrupted. To go on: {resume_command(typed)}" if options.command == "run" else "Interrupted.")
        return ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 -- the one place that gives every failure its exit status
        traceback.print_exc()
        return ExitCode.INTERNAL
    return ExitCode.DONE


def run(options: argparse.Namespace) -> None:
    """Solves, grades, records, and reports at the end."""
    from kitty_core.settings import environment
    from kitty_evals.evaluation import Evaluation
    from kitty_evals.running import run_evaluation
    from kitty_evals.target import find_target
    from kitty_evals.tasks import choose, read_tasks

    env = environment()
    known = read_tasks(options.file)
    tasks = choose(known, offset=options.offset, every=options.every, limit=options.limit)

    async def evaluate() -> Path:
        target = await find_target(options.model, options.base, options.tier, env, raw=options.compare == "raw")
        folder: Path = options.out or run_dir(options.file, target.name, target.tier)
        arms: tuple[ArmName, ...] = ("raw", "tier") if options.compare == "raw" else ("tier",)
        await run_evaluation(Evaluation(options.file, known, tasks, target, arms, folder, options.resume), env)
        return folder

    folder = asyncio.run(evaluate())
    _deliver(make_report(read_runs([folder])), folder, options.json)


def report(options: argparse.Namespace) -> None:
    """Reports on runs that were made before."""
    runs = read_runs(options.folders)
    if not any(records for _, records in runs):
        raise UsageProblem("There is no record in any of these folders.")
    alone = options.folders[0] if len(options.folders) == 1 else evals_dir() / "report"
    _deliver(make_report(runs), options.out or alone, options.json)


def _deliver(made: Report, folder: Path, as_json: bool) -> None:
    from kitty_evals.picture import draw

    make_folder(folder)
    document = json.dumps(made.to_dict() | {"folder": str(folder)}, indent=2, allow_nan=False)
    (folder / "report.json").write_text(document + "\n", encoding="utf-8")
    draw(made, folder / "report.png")
    if as_json:
        print(document)
        return
    show(made)
    print(f"report.json and report.png: {folder}")


def resume_command(typed: Sequence[str]) -> str:
    """The line that goes on where this one ended."""
    words = [word for word in typed[1:] if word != "--resume"]
    return f"{os.environ.get('KITTY_COMMAND') or 'kitty-cli'} eval {shlex.join(words)} --resume"


def _say(text: str) -> None:
    print(f"kitty-cli: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kitty_evals", description="Run a task file, grade it, and report.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="solve the tasks of FILE and grade the answers")
    one.add_argument("file", type=Path)
    one.add_argument("--tier", choices=TIERS, default="standard")
    one.add_argument("--model", help="an alias, a GGUF file, or the URL of a model server")
    one.add_argument("--base", help="use this coder-agent; default: one is started")
    one.add_argument("--limit", type=_count_from(1), help="at most so many tasks")
    one.add_argument("--every", type=_count_from(1), default=1, help="each so-manieth task")
    one.add_argument("--offset", type=_count_from(0), default=0, help="begin with this task, counted from 0")
    one.add_argument("--resume", action="store_true", help="go on where the records end")
    one.add_argument("--compare", choices=("raw",), help="the model alone as well")
    one.add_argument("--out", type=Path, help="the folder of records and report")
    one.add_argument("--json", action="store_true", help="the report as JSON")
    several = commands.add_parser("report", help="one table and picture of several runs")
    several.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    several.add_argument("--out", type=Path, help="where report.json and report.png go")
    several.add_argument("--json", action="store_true", help="the report as JSON")
    return parser


def _count_from(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        return number

    return count
