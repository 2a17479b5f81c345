"""Which model and which tier are worth it on this machine: task files with hidden tests, run, graded and counted.

    python -m kitty_evals run FILE      tasks → arms (raw, a tier) → grading in the sandbox → records → report
    python -m kitty_evals report DIR…   records → report, of several runs in one table and picture

It uses the coder-agent from outside, over HTTP, as every other client does. `kitty-cli eval` is its front door.
"""
