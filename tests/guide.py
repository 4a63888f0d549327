#!/usr/bin/env python3
"""Runs the examples of the guide, the README and the CHANGELOG: guide.py HARK [PAGE...]

Each ```hark block with `//!` lines is a program as described in tests/programs/README.md; any other one must compile. Those of
testing.md and of the pages in coming-from, and those with stubs or promises, are tested by `hark test`. A word after the
language, as in ```hark orders.hk or ```python src/bank.py, is the file to save the block in, in a folder for each page. The
commands in a block ```console run are typed into a new shell, and must print the text below them; `...` stands for anything. A
line `BODY => VALUE` in a block ```examples is a function's body and its result, as a literal of Hark;
`BODY => error "KIND"` is a body that raises. A block ```rust PATH is an excerpt of that file of the repository, with any
indentation.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import conformance

BLOCK = re.compile(r"^```(hark|python|console|examples|rust)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOT = Path(__file__).resolve().parent.parent
SECONDS_MAX = 300
# Lines known only to `hark test`.
TESTED = re.compile(r"^//! (stub|resolve|fail|test_)", re.MULTILINE)
# Printed by the shell between two commands, to separate their outputs.
MARK = "=== next ==="
# Marks a page that kills its programs after some time.
TIMED = "$ timeout -s KILL"
# A non-interactive shell prints more about a killed process than an interactive one.
KILLED = re.compile(r"^\S*bash: line \d+: +\d+ Killed.*$", re.MULTILINE)


def is_tested(page, text):
    """Whether a page's program is run by `hark test`: those of coming-from wait for days, or have arguments that a command line cannot give."""
    return page.stem == "testing" or page.parent.name == "coming-from" or TESTED.search(text) is not None


def failures_of(hark, path, is_tested):
    """The number of expectations in a program, and the failures."""
    if is_tested:
        command = [hark, "test", "-q", "--timeout", str(SECONDS_MAX), path]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=SECONDS_MAX)
        return 1, [f"{path.name}:\n{done.stdout}{done.stderr}"] if done.returncode else []
    runs = conformance.runs_of(path, False)
    if runs:
        failures = [failure for run in runs for failure in conformance.failures_of(hark, run, [], dict(os.environ))]
        return sum(len(run.expected) for run in runs), failures
    done = subprocess.run([hark, "check", path], capture_output=True, text=True, timeout=SECONDS_MAX)
    return 1, [f"{path.name} does not compile:\n{done.stdout}{done.stderr}"] if done.returncode else []


RAISES = re.compile(r'error "(\w+)"')


def failures_of_examples(hark, path, text):
    """The same for lines with a function's body and its result."""
    examples = [line.rpartition(" => ")[::2] for line in text.splitlines()]
    functions = [f"fn example_{number}() {{ {body} }}\n" for number, (body, _) in enumerate(examples)]
    raising = [RAISES.fullmatch(value) for _, value in examples]
    shown = ", ".join(f"to_string([example_{number}()])" for number, kind in enumerate(raising) if not kind)
    path.write_text("".join(functions) + f"fn main() {{ [{shown}] }}\n")

    def run(function):
        done = subprocess.run([hark, "-q", "--json", path, "-f", function], capture_output=True, text=True, timeout=SECONDS_MAX)
        return json.loads(done.stdout)

    report, failures = run("main"), []
    results = iter(report["result"] or [])
    for number, ((body, value), kind) in enumerate(zip(examples, raising)):
        if kind:
            raised = [error["kind"] for error in run(f"example_{number}").get("errors", [])]
            right, got = raised == [kind[1]], f"the errors {raised}"
        else:
            got = next(results, None)
            right = got == f"[{value}]"
        if not right:
            failures.append(f"{body} => {value}\n  got {got}{'' if report['result'] else report}")
    return len(examples), failures


def failures_of_console(hark, folder, text):
    """The same for commands typed into a shell."""
    commands = [command.partition("\n")[::2] for command in ("\n" + text).split("\n$ ")[1:]]
    script = "".join(f"{command}\nprintf '%s\\n' '{MARK}'\n" for command, _ in commands)
    hidden = folder / ".path"
    hidden.mkdir(exist_ok=True)
    if not (hidden / "hark").exists():
        (hidden / "hark").symlink_to(hark)
    environment = {**os.environ, "PATH": f"{hidden}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    # In its own OS session, so that no process started by it survives.
    shell = subprocess.Popen(["bash", "-c", script + "kill $(jobs -p) 2>/dev/null\n"], cwd=folder, env=environment,
                             text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    try:
        output, _ = shell.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        output, _ = shell.communicate()
    printed = KILLED.sub("Killed", output).split(f"{MARK}\n")
    failures = []
    for (command, expected), got in zip_longest(commands, printed[: len(commands)], fillvalue="nothing"):
        pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
        if not re.fullmatch(pattern, got.strip(), re.DOTALL):
            failures.append(f"$ {command}\n  should print:\n{expected}\n  printed:\n{got}")
    return len(commands), failures


def failures_of_excerpt(path, text):
    """The same for an excerpt: its lines must follow each other in the file."""
    lines, wanted = ([line.strip() for line in each.splitlines()] for each in (path.read_text(), text))
    is_there = any(lines[at : at + len(wanted)] == wanted for at in range(len(lines)))
    return 1, [] if is_there else [f"{path} does not contain:\n{text}"]


def failures_of_page(hark, page):
    """The same for a page. A page that kills a program after some seconds shows what was done by then, which may be less on a
    busy machine: its failures are retried."""
    for left in reversed(range(conformance.TRIES_MAX if TIMED in page.read_text() else 1)):
        total, failed = failures_of_blocks(hark, page)
        if not failed:
            break
        if left:
            print(f"tried again: {failed[0]}", file=sys.stderr, flush=True)
    return total, failed


def failures_of_blocks(hark, page):
    """The same for a page's blocks, in a new folder."""
    total, failed = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for number, (language, name, text) in enumerate(BLOCK.findall(page.read_text()), 1):
            path = Path(folder) / (name or f"{page.stem}_{number}.hk")
            count, failures = 0, []
            if language == "examples":
                count, failures = failures_of_examples(hark, path, text)
            elif language == "rust":
                count, failures = failures_of_excerpt(ROOT / name, text)
            elif language == "console":
                if name == "run":
                    count, failures = failures_of_console(hark, Path(folder), text)
            elif language == "hark" or name:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                if language == "hark":
                    count, failures = failures_of(hark, path, is_tested(page, text))
            total += count
            failed += [f"{page.name}: {failure}" for failure in failures]
    return total, failed


def main():
    hark = str(Path(sys.argv[1]).resolve())
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "guide").rglob("*.md"))]
    pages = [Path(page).resolve() for page in sys.argv[2:]] or pages
    total, failed = 0, 0
    # The pages are independent of each other, and mostly wait.
    with ThreadPoolExecutor(4) as pool:
        for count, failures in pool.map(lambda page: failures_of_page(hark, page), pages):
            total += count
            failed += len(failures)
            for failure in failures:
                print(failure, flush=True)
    print(f"{total - failed} passed, {failed} failed")
    raise SystemExit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()
