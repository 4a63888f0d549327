#!/usr/bin/env python3
"""Deploys instances to `ministack`, which stands in for CloudFormation and the services that it uses: creates one, changes it, changes
nothing, and destroys it. The test asks the services themselves for the resources at each step.

ministack deletes every resource of a stack, even those that the template retains, never rolls back, and ignores the expiry of a table's
items. If a function changes, it creates another one, without the earlier versions and aliases.
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from stand_in.recorder import Recorder

MINISTACK = Path(__file__).resolve().parent.parent / "dynamodb/ministack.py"
PROGRAM = """
#[timeout(600)] import(long, steps, 1);
fn on_upload(bucket, key) { key }
fn on_http(method, path, event) { path }
fn hourly() { 1 }
fn main() { long(1) }
"""
STEPS = "def long(n):\n    return n\n"
SETTINGS = """
[instance]
managed_buckets = ["hark-test-uploads"]
upload_triggers = [["hark-test-uploads", "in/", ""]]
enable_api = true
schedules = [["rate(1 hour)", "hourly"]]
lambda_memory = {memory}
"""
AGENT = "AWS4-HMAC-SHA256 Credential={}/20260101/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature=none"


class Services:
    """The services, called without an SDK: the server does not check signatures."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, service, path="/", target=None, body=None, version="1.0", data=None, method=None, key="local"):
        headers = {"Authorization": AGENT.format(key, service)}
        if target:
            headers |= {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
            data = json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def tables(self):
        return json.loads(self.ask("dynamodb", target="DynamoDB_20120810.ListTables"))["TableNames"]

    def billing(self, table):
        asked = self.ask("dynamodb", target="DynamoDB_20120810.DescribeTable", body={"TableName": table})
        return json.loads(asked)["Table"].get("BillingModeSummary", {}).get("BillingMode")

    def queues(self):
        urls = json.loads(self.ask("sqs", target="AmazonSQS.ListQueues")).get("QueueUrls") or []
        return sorted(url.rsplit("/", 1)[1] for url in urls)

    def functions(self):
        found = json.loads(self.ask("lambda", "/2015-03-31/functions/"))["Functions"]
        return {function["FunctionName"]: function for function in found}

    def aliases(self, function):
        found = json.loads(self.ask("lambda", f"/2015-03-31/functions/{function}/aliases"))["Aliases"]
        return {alias["Name"]: alias["FunctionVersion"] for alias in found}

    def buckets(self):
        names = self.ask("s3").split("<Name>")[1:]
        return sorted(name.split("<")[0] for name in names)

    def log_groups(self):
        found = json.loads(self.ask("logs", target="Logs_20140328.DescribeLogGroups", version="1.1"))["logGroups"]
        return {group["logGroupName"]: group.get("retentionInDays") for group in found}

    def queue(self, name):
        """The attributes of a queue."""
        url = json.loads(self.ask("sqs", target="AmazonSQS.GetQueueUrl", body={"QueueName": name}))["QueueUrl"]
        asked = {"QueueUrl": url, "AttributeNames": ["All"]}
        return json.loads(self.ask("sqs", target="AmazonSQS.GetQueueAttributes", body=asked))["Attributes"]

    def apis(self):
        return {api["name"]: api["protocolType"] for api in json.loads(self.ask("apigateway", "/v2/apis"))["items"]}

    def stack(self, name):
        query = urllib.parse.urlencode({"Action": "DescribeStacks", "Version": "2010-05-15", "StackName": name})
        try:
            return self.ask("cloudformation", f"/?{query}").split("<StackStatus>")[1].split("<")[0]
        except urllib.error.HTTPError as error:
            return f"{error.code}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def served(port, log=None, **variables):
    """Starts the server, and waits until it answers."""
    log = log or tempfile.TemporaryFile()
    server = subprocess.Popen([sys.executable, MINISTACK, "serve", "--port", str(port)], stdout=log, stderr=log,
                              env={**os.environ, **variables})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            Services(port).tables()
            return server
        except OSError:
            time.sleep(0.2)
    server.kill()
    raise SystemExit("ministack does not answer")


def environment(port):
    """The environment variables by which commands find the services."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HARK_"))}
    return {**own, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "eu-west-1"}


class Story:
    def __init__(self, hark, folder, port, recorder=None):
        self.hark, self.folder, self.services = hark, folder, Services(port)
        self.environment = environment(recorder.own_port if recorder else port)

    def write(self, memory=512):
        (self.folder / "service.hk").write_text(PROGRAM)
        (self.folder / "steps.py").write_text(STEPS)
        (self.folder / "hark.toml").write_text(SETTINGS.format(memory=memory))

    def run(self, *words, status=0, **more):
        variables = {name: value for name, value in {**self.environment, **more}.items() if value is not None}
        done = subprocess.run([self.hark, *words], cwd=self.folder, env=variables, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=300)
        if done.returncode != status:
            raise SystemExit(f"hark {' '.join(words)}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
        return done

    def deploy(self):
        return json.loads(self.run("deploy", "-y", "-q", "--json").stdout)


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: {found!r}, not {wanted!r}")
    print(f"ok  {what}")


def tell(story):
    services = story.services
    story.write()
    refused = story.run("deploy", "--uuid", "shop", status=2)
    expect("without a terminal `deploy` asks nobody", refused.stderr.splitlines()[-2:],
           ["error: cannot ask for confirmation", "hint: `--yes` confirms everything"])
    expect("and nothing is made", services.stack("hark-shop"), "400")

    made = story.run("deploy", "--uuid", "shop", "--yes")
    expect("a deployment tells of each type", "  +  1 AWS::DynamoDB::Table" in made.stderr.splitlines(), True)
    expect("a table is made", services.tables(), ["hark-shop"])
    expect("which costs by requests", services.billing("hark-shop"), "PAY_PER_REQUEST")
    expect("queues are made", services.queues(), ["hark-shop-dead", "hark-shop-timers"])
    functions = services.functions()
    expect("functions are made", {name: (one["MemorySize"], one["Timeout"]) for name, one in functions.items()},
           {"hark-shop": (512, 240), "hark-shop-m512-t610": (512, 610)})
    expect("buckets are made", services.buckets(), ["hark-shop-code-000000000000", "hark-test-uploads"])
    groups = {"/aws/lambda/hark-shop": 30, "/aws/lambda/hark-shop-m512-t610": 30}
    expect("logs are kept for some time", services.log_groups(), groups)
    dead, timers = services.queue("hark-shop-dead"), services.queue("hark-shop-timers")
    expect("dead letters are kept for two weeks", dead["MessageRetentionPeriod"], "1209600")
    expect("and are hidden for six times an invocation's time", timers["VisibilityTimeout"], "1440")
    expect("there is an HTTP API", services.apis(), {"hark-shop": "HTTP"})
    checked = story.run("storage", "check", "-s", "dynamodb", "--config", "table.toml", "--json", status=1)
    faults = [one["subject"] for one in json.loads(checked.stdout) if one["fault"]]
    expect("the table is as Hark's storage needs it, except for a setting that the server ignores", faults, ["expiry of items"])

    again = story.deploy()
    expect("a second deployment changes nothing", (again["changed"], again["instance"]), (0, "shop"))
    first = services.aliases("hark-shop")
    expect("the code has a name", again["code"] in first, True)
    expect("which is the current one", first["current"], first[again["code"]])

    story.write(memory=1024)
    changed = story.deploy()
    expect("other settings are other code", changed["code"].split("-")[0], "v2")
    expect("which has a name of its own", changed["code"] in services.aliases("hark-shop"), True)
    sizes = sorted(services.functions())
    expect("functions of earlier sizes stay", sizes, ["hark-shop", "hark-shop-m1024-t610", "hark-shop-m512-t610"])
    story.write()
    back = story.deploy()
    expect("code that comes again has a new name", (back["code"].split("-")[0], back["code"] in first), ("v3", False))

    refused = story.run("destroy", status=2)
    expect("without a terminal `destroy` asks nobody", "`--yes` confirms" in refused.stderr, True)
    ended = story.run("destroy", "--yes")
    expect("the instance is gone", ended.stdout, "the instance `shop` is gone\n")
    left = (services.stack("hark-shop"), services.tables(), services.queues(), services.functions(), services.buckets())
    expect("and nothing is left", left, ("400", [], [], {}, []))
    expect("nor remembered", "has not been deployed from here" in story.run("destroy", "--yes", status=2).stderr, True)
    missing = story.run("destroy", "--yes", "--uuid", "shop", status=1)
    expect("there is no other", missing.stderr.splitlines()[1], "error: there is no instance `shop` in eu-west-1")

    named = story.deploy()["instance"]
    expect("an instance without a name gets a UUID", [len(part) for part in named.split("-")], [8, 4, 4, 4, 12])
    story.run("destroy", "-y", "-q")
    lost = story.run("deploy", "-y", status=2, AWS_REGION=None, HOME="/nonexistent")
    expect("without a region it says so", lost.stderr.splitlines()[-2], "error: no AWS region is set")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    given = parser.parse_args()
    port = free_port()
    server = served(port)
    # checked.py may omit a property of the template.
    recorder = Recorder(port)
    try:
        with tempfile.TemporaryDirectory(prefix="hark-deploy-") as folder:
            folder = Path(folder).resolve()
            (folder / "table.toml").write_text('[storage.dynamodb]\ntable = "hark-shop"\n')
            tell(Story(given.hark.resolve(), folder, port, recorder))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
