#!/usr/bin/env python3
"""Answers in pages, which AWS gives and ministack does not: the lines of logs, and the aliases of a function. `hark logs` reads
several groups a page at a time and shows their lines in the order of time; `hark info` reads all aliases."""
import argparse
import json
import tempfile
import threading
import time
import urllib.parse
from http.server import ThreadingHTTPServer
from pathlib import Path

from deploy import SETTINGS, Story, expect
from stand_in.cloudformation import CloudFormation
from stand_in.triggers import front

PAGE = 3


class Stacks(CloudFormation):
    def GetTemplate(self, call):
        return {"TemplateBody": json.dumps(self.stack(call["StackName"]).template)}


class Services:
    """CloudFormation, the logs of two functions, and Lambda's list of aliases; the table has no sessions."""

    def __init__(self):
        self.stacks, self.calls = Stacks(), []
        now = int(time.time() * 1000)
        times = [now - (3_600_000 if n < 10 else 300_000) + n * 1_000 for n in range(60)]
        # Every other line is another function's, but for the last ones. The first are too old.
        self.groups = {
            "/aws/lambda/hark-shop": [(f"a{n}", times[n]) for n in range(0, 60, 2)],
            "/aws/lambda/hark-shop-m512-t610": [(f"b{n}", times[n]) for n in range(1, 40, 2)],
        }
        self.expected = [f"{'b' if n % 2 else 'a'}{n}" for n in range(10, 60) if n % 2 == 0 or n < 40]
        self.aliases = ["current", *(f"v{n}-0123456789ab" for n in range(1, 8))]

    def answer(self, method, path, headers, body):
        target = headers.get("x-amz-target", "")
        if target == "Logs_20140328.FilterLogEvents":
            return 200, {}, json.dumps(self.filter(json.loads(body))).encode()
        if target == "AmazonSQS.GetQueueAttributes":
            return 200, {}, b'{"Attributes": {"ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesDelayed": "1"}}'
        if target.startswith("DynamoDB_"):
            return 200, {}, b'{"Items": [], "Count": 0, "ScannedCount": 0}'
        if path.startswith("/2015-03-31/functions/hark-shop/aliases"):
            return 200, {}, json.dumps(self.some_aliases(urllib.parse.urlparse(path).query)).encode()
        return self.stacks.answer(method, path, headers, body)

    def filter(self, call):
        """A page, and the token of the next. Every other page is empty: AWS has then looked at a part that has no lines."""
        self.calls.append(call["logGroupName"])
        lines = [line for line in self.groups[call["logGroupName"]] if line[1] >= call["startTime"]]
        start, _, was_empty = call.get("nextToken", "0//").partition("//")
        start = int(start)
        if not was_empty:
            return {"events": [], "nextToken": f"{start}//yes"}
        events = [{"eventId": text, "logStreamName": "s", "timestamp": at, "message": text + "\n"} for text, at in lines[start:start + PAGE]]
        more = {"nextToken": f"{start + PAGE}//"} if start + PAGE < len(lines) else {}
        return {"events": events, **more}

    def some_aliases(self, query):
        start = int(dict(urllib.parse.parse_qsl(query)).get("Marker", "0=").rstrip("="))
        more = {"NextMarker": f"{start + PAGE}="} if start + PAGE < len(self.aliases) else {}
        return {"Aliases": [{"Name": name} for name in self.aliases[start:start + PAGE]], **more}


def tell(story, services):
    story.write()
    (story.folder / "hark.toml").write_text(SETTINGS.format(memory=512) + 'hark_binary = "no-program"\n')
    (story.folder / "no-program").write_text("of the functions: none\n")
    code = story.run("deploy", "-y", "-q", "--uuid", "shop", "--json")
    code = json.loads(code.stdout)["code"]
    services.aliases.append(code)

    lines = [json.loads(line) for line in story.run("logs", "--json").stdout.splitlines()]
    expect("lines of all pages, in the order of time", [line["text"] for line in lines], services.expected)
    function = {"a": "hark-shop", "b": "hark-shop-m512-t610"}
    expect("each with its function", all(line["function"] == function[line["text"][0]] for line in lines), True)
    services.calls.clear()
    only = [line.split()[-1] for line in story.run("logs", "--function", "hark-shop").stdout.splitlines()]
    expect("those of one function", only, [text for text in services.expected if text[0] == "a"])
    expect("for which no other one is asked", set(services.calls), {"/aws/lambda/hark-shop"})

    info = json.loads(story.run("info", "--json").stdout)
    expect("aliases of all pages", info["earlier"], [name for name in services.aliases if name[0] == "v" and name != code])
    expect("messages of a queue", info["queues"][0] | {"name": ""}, {"name": "", "ready": 3, "delayed": 1, "in_flight": 0})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    given = parser.parse_args()
    services = Services()
    server = ThreadingHTTPServer(("127.0.0.1", 0), front(services.answer))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="hark-pages-") as folder:
        tell(Story(given.hark.resolve(), Path(folder).resolve(), server.server_address[1]), services)
    server.shutdown()


if __name__ == "__main__":
    main()
