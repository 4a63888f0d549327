#!/usr/bin/env python3
"""Deployments that fail at each resource of the template in turn, in a CloudFormation that rolls back as AWS does
(stand_in/cloudformation.py). `hark deploy` reports which resource failed and why, and the next deployment works. Commands that
are ended by a signal report what continues without them."""
import argparse
import hashlib
import json
import signal
import subprocess
import tempfile
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

from deploy import PROGRAM, SETTINGS, STEPS, environment, expect
from stand_in.cloudformation import CloudFormation
from stand_in.triggers import front

WHY = "Resource handler returned message: \"<it> & that\""


class Deployments:
    def __init__(self, hark, folder):
        self.hark, self.folder, self.services = hark, folder, CloudFormation()
        server = ThreadingHTTPServer(("127.0.0.1", 0), front(self.services.answer))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.environment = environment(server.server_address[1])
        (folder / "service.hk").write_text(PROGRAM)
        (folder / "steps.py").write_text(STEPS)
        (folder / "no-program").write_text("of the functions: none\n")

    def write(self, memory=512, buckets=None):
        settings = SETTINGS.format(memory=memory)
        if buckets is not None:
            kept = [line for line in settings.splitlines() if not line.startswith(("managed_buckets", "upload_triggers"))]
            settings = "\n".join([*kept, buckets, ""])
        (self.folder / "hark.toml").write_text(settings + 'hark_binary = "no-program"\n')

    def run(self, *words, is_agreed=True):
        agreed = ["--yes"] if is_agreed else []
        done = subprocess.run([self.hark, *words, "--uuid", "shop", *agreed], cwd=self.folder, env=self.environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def fail(self, logical, kind, status, message):
        """A deployment that fails at this resource: checks its report, and the state in which it leaves the stack."""
        self.services.failing = {logical: WHY}
        code, out, _ = self.run("deploy", "-q", "--json")
        told = json.loads(out)
        expect(f"{kind} {logical}", (code, told["stack"], told["causes"], told["error"].splitlines()[0]),
               (1, status, [{"type": kind, "resource": logical, "reason": WHY}], message))
        self.services.failing = {}

    def succeed(self, what):
        code, out, error = self.run("deploy", "-q", "--json")
        expect(f"{what}: {error}", code, 0)
        return json.loads(out)

    @property
    def stack(self):
        return self.services.stacks.get("hark-shop")


def tell_of_signals(there):
    """Ctrl-C at each stage. CloudFormation goes on with what it has begun."""
    services, pause = there.services, there.services.pause

    def interrupted(words, is_time):
        started = subprocess.Popen([there.hark, *words, "--uuid", "shop"], cwd=there.folder, env=there.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: started.poll() is not None or is_time(), words)
        started.send_signal(signal.SIGINT)
        _, error = started.communicate(timeout=60)
        return started.returncode, error.splitlines()

    def status():
        return there.stack.status if there.stack else None

    # Who is asked is said before there is an answer.
    asked, goes_on, describe = threading.Event(), threading.Event(), services.DescribeStacks

    def silent(call):
        asked.set()
        goes_on.wait(60)
        return describe(call)
    services.DescribeStacks = silent
    for words, last in [
        (["deploy", "--yes"], "nothing was changed"), (["destroy", "--yes"], "nothing was changed"), (["invoke"], "no session was started"),
    ]:
        asked.clear(), goes_on.clear()
        code, lines = interrupted(words, asked.is_set)
        goes_on.set()
        question = [] if words == ["invoke"] else ["asking CloudFormation in eu-west-1 for the instance `shop`"]
        expect(f"Ctrl-C in {words[0]} before an answer", (code, lines), (130, [*question, "", last]))
    services.DescribeStacks = describe

    services.pause = 0.03
    how_far = "all the same: `hark info --uuid shop` shows how far it is, and"
    there.write()
    code, lines = interrupted(["deploy", "--yes"], lambda: status() == "UPDATE_IN_PROGRESS")
    expect("a new instance goes on", (code, lines[-1]),
           (130, f"CloudFormation makes the instance {how_far} `hark destroy --uuid shop` removes it"))
    until(lambda: status() == "UPDATE_COMPLETE", "the end")
    there.write(memory=1024)
    code, lines = interrupted(["deploy", "--yes"], lambda: status() == "UPDATE_IN_PROGRESS")
    undo = "aws cloudformation cancel-update-stack --stack-name hark-shop --region eu-west-1"
    expect("so does a change", (code, lines[-1]), (130, f"CloudFormation changes the instance {how_far} `{undo}` puts it back"))
    expect("which the next deployment waits for", there.succeed("again")["changed"], 0)
    code, lines = interrupted(["destroy", "--yes"], lambda: status() == "DELETE_IN_PROGRESS")
    expect("and so does its end", (code, lines[-1]),
           (130, f"CloudFormation deletes the stack {how_far} `hark destroy --uuid shop` waits for it, and removes what is left"))
    until(lambda: status() is None or there.stack.is_gone, "the end")
    services.stacks.clear()
    services.pause = pause


def until(holds, what):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def tell(there):
    there.write()
    template = json.loads(subprocess.run([there.hark, "deploy", "--dry-run", "-q", "--uuid", "shop"], cwd=there.folder,
                                         capture_output=True, check=True).stdout)
    (there.folder / ".hark/deploy/package.zip").unlink()
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}

    not_made = "the instance could not be created"
    there.fail("CodeBucket", kinds["CodeBucket"], "ROLLBACK_COMPLETE", f"{not_made}; nothing of it is left (ROLLBACK_COMPLETE):")
    expect("the stack is as AWS leaves it", there.stack.status, "ROLLBACK_COMPLETE")
    for name, kind in kinds.items():
        if name != "CodeBucket":
            there.fail(name, kind, "UPDATE_ROLLBACK_COMPLETE",
                       f"{not_made}; only the bucket for its code is left (UPDATE_ROLLBACK_COMPLETE):")
    there.succeed("after all that, it is made")
    packages = {key: hashlib.sha256(body).hexdigest() + ".zip" for (_, key), body in there.services.objects.items()}
    expect("the package is named after what it is", [key == name for key, name in packages.items()], [True])
    expect("and is in no file that another deployment could change", list(there.folder.glob(".hark/deploy/*.zip")), [])
    expect("with all resources", sorted(there.stack.template["Resources"]), sorted(kinds))

    there.write(memory=1024)
    unchanged = "the instance was not changed, and is as before (UPDATE_ROLLBACK_COMPLETE):"
    before = there.stack.template
    for name in ("MainFunction", "Role", "MainCurrent", "SizedM1024T610Function"):
        there.fail(name, kinds.get(name, "AWS::Lambda::Function"), "UPDATE_ROLLBACK_COMPLETE", unchanged)
    expect("is as before", there.stack.template, before)
    there.services.failing = {"MainFunction": WHY}
    code, out, error = there.run("deploy")
    expect("without --json it is told", (code, out, error.splitlines()[-2:]),
           (1, "", [f"error: {unchanged}", f"  AWS::Lambda::Function MainFunction: {WHY}"]))
    there.services.failing = {}
    expect("after that, it is changed", there.succeed("again")["code"].split("-")[0], "v2")

    there.write(buckets="")
    before, there.services.puts = there.stack.template, 0
    _, _, plan = there.run("deploy", is_agreed=False)
    lines = plan.splitlines()
    expect("a plan says where", lines[1], "changes of the instance `shop` in eu-west-1 of the account 123456789012:")
    stays = "(stays, but no longer belongs to the instance)"
    expect("what stays", f"  - AWS::S3::Bucket hark-test-uploads {stays}" in lines, True)
    expect("and changes nothing, not even by an upload", (there.stack.template, there.services.puts), (before, 0))

    there.write()
    there.services.failing = {"MainFunction": WHY, "rollback MainFunction": "no such key"}
    code, out, _ = there.run("deploy", "-q", "--json")
    told = json.loads(out)
    expect("a stack that cannot be rolled back is reported", (code, told["stack"], told["error"].splitlines()[0]),
           (1, "UPDATE_ROLLBACK_FAILED", "the instance could neither be changed nor rolled back (UPDATE_ROLLBACK_FAILED):"))
    there.services.failing = {}
    code, _, error = there.run("deploy", "-q")
    expect("and a way out, also the next time", (code, "continue-update-rollback --stack-name hark-shop --region eu-west-1`" in error), (1, True))
    there.stack.status = "UPDATE_ROLLBACK_COMPLETE"
    there.succeed("when that has helped, it is changed")

    there.services.failing = {"delete Timers": "it is in use"}
    code, _, error = there.run("destroy", "-q")
    expect("a resource that cannot be deleted is reported", (code, error),
           (1, "error: the instance cannot be deleted (DELETE_FAILED):\n  AWS::SQS::Queue Timers: it is in use\n"))
    there.services.failing = {}
    there.services.objects["hark-test-uploads", "photo"] = b"..."
    expect("and a second try works, which leaves buckets with data", (*there.run("destroy")[:2], there.stack),
           (0, "the instance `shop` is gone\nthe bucket `hark-test-uploads` stays, because there is data in it\n", None))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hark-rollback-") as folder:
        there = Deployments(given.hark.resolve(), Path(folder).resolve())
        tell_of_signals(there)
        there.services.objects.clear()
        tell(there)


if __name__ == "__main__":
    main()
