"""An instance of the project in `package`, or of another, in the stand-in for AWS (service.py), for tests."""
import argparse
import json
import subprocess
import time
import urllib.request
from pathlib import Path

import service

PACKAGE = Path(__file__).resolve().parent / "package"
# The settings in `[instance]` that all instances have.
COMMON = []


def asked(**options):
    parser = argparse.ArgumentParser()
    service.options(parser)
    words = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    return parser.parse_args([name if value is True else f"{name}={value}" for name, value in words.items()])


class Instance:
    """`settings` are added to `[instance]` of the project's, and `edit` changes its template."""

    def __init__(self, hark, settings="", edit=lambda template: None, project=PACKAGE, **options):
        self.hark, self.project = hark, project
        settings = "".join([*COMMON, settings])
        self.context = service.running(asked(**options), hark, project, instance=settings, edit=edit)

    def __enter__(self):
        self.service = self.context.__enter__()
        return self

    def __exit__(self, *error):
        return self.context.__exit__(*error)

    @property
    def counts(self):
        return self.service.counts

    @property
    def dead_letters(self):
        return next(queue for queue in self.service.queues.values() if queue.name.endswith("-dead")).messages

    def invoke(self, **event):
        """The answer to a synchronous invocation."""
        return self.ask("RequestResponse", json.dumps(event).encode())

    def ask(self, kind, event, function=service.FUNCTION, alias="current"):
        url = f"http://{self.service.address.services}/2015-03-31/functions/{function}/invocations?Qualifier={alias}"
        request = urllib.request.Request(url, event, {"x-amz-invocation-type": kind})
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def deploy(self, change):
        """Deploys the project again, with what `change` does to its folder."""
        project = self.service.folder / "project"
        change(project)
        self.service.deploy(project, self.service.folder / f"task-{len(self.service.templates)}")

    def command(self, *words):
        done = subprocess.run([self.hark, words[0], "-s", "dynamodb", *words[1:]], env=self.service.variables(), cwd=self.project,
                              capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def begin(self, function, *arguments):
        return self.command("run", "--detach", "-f", function, "--args", json.dumps(arguments))

    def sessions(self):
        return json.loads(self.command("sessions", "--json"))

    def report(self, session, seconds_max=120):
        """The report of a session that has ended."""
        self.until(lambda: json.loads(self.command("show", session, "--json"))["ended"] is not None, seconds_max,
                   lambda: self.command("show", session))
        return json.loads(self.command("show", session, "--json"))

    def until(self, holds, seconds_max=60, shown=lambda: ""):
        begun = time.monotonic()
        while not holds():
            assert not self.service.broken, self.service.broken
            if time.monotonic() - begun > seconds_max:
                raise AssertionError(f"not after {seconds_max} s: {shown()}\n{dict(self.counts)}\n{self.service.failures[-3:]}")
            time.sleep(0.05)


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"
