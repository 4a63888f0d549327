"""Lambda functions: their versions and aliases, invocations of both types, retries, dead letters and the detection of recursion."""
import json
import queue
import re
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stand_in.policies import LAMBDA, Refused
from stand_in.template import NAMED

# What AWS allows: 256 KB everywhere, though it has documented a megabyte since 2025. The emulator cuts off what is larger, without a word.
EVENT_BYTES_MAX, REQUEST_BYTES_MAX = 256 << 10, 6 << 20
RETRIES = 2
# AWS ends a chain of invocations with the 17th of a function, unless the function allows more.
RECURSIONS_MAX = 16


@dataclass(eq=False)
class Version:
    number: int
    properties: dict
    folder: Path


@dataclass
class Sent:
    """An asynchronous invocation."""

    version: Version
    event: bytes
    # The number of invocations of each function in the chain that led to this one.
    chain: Counter
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tries: int = 0


class Functions:
    def __init__(self, service, pool):
        self.service, self.pool = service, pool
        self.versions, self.aliases = {}, {}
        self.pending = queue.Queue()

    def deploy(self, template, folder):
        """New versions run the files in the folder."""
        made = template.of("Lambda::Function")
        for logical, version in template.of("Lambda::Version").items():
            properties = next(each for each in made.values() if each["FunctionName"] == version["FunctionName"])
            self.versions.setdefault(logical, Version(self.version_of(logical), properties, folder))
        for alias in template.of("Lambda::Alias").values():
            number = alias["FunctionVersion"]
            version = next(each for each in self.versions.values() if each.number == number
                           and each.properties["FunctionName"] == alias["FunctionName"])
            self.aliases[alias["FunctionName"], alias["Name"]] = version

    def version_of(self, logical):
        """The number of the version that a resource is, or will be."""
        known = self.versions.get(logical)
        return known.number if known else len(self.versions) + 1

    def find(self, arn):
        """The version that `arn:...:function:NAME:ALIAS` names. Hark may not invoke a function without an alias."""
        found = re.fullmatch(rf"{NAMED['AWS::Lambda::Function'][1]}([^:]+):(.+)", arn)
        return self.aliases.get((found[1], found[2])) if found else None

    def invoke(self, arn, kind, event, caller=None):
        """The answer to a call of `Invoke`: status, and what follows. `caller` is the emulator that calls."""
        if caller and not self.service.roles[caller.version.properties["Role"]].allows("lambda:InvokeFunction", arn):
            raise Refused(f"lambda:InvokeFunction on {arn}")
        version = self.find(arn)
        if version is None:
            return 404, {"Type": "User", "Message": f"Function not found: {arn}"}
        if len(event) > (EVENT_BYTES_MAX if kind == "Event" else REQUEST_BYTES_MAX):
            return 413, {"Message": "request must be smaller", "Type": "User"}
        json.loads(event)
        if kind == "DryRun":
            return 204, None
        chain = Counter(caller.chain if caller else ())
        if kind == "RequestResponse":
            self.service.count("synchronous")
            answer, _ = self.run(version, str(uuid.uuid4()), event, chain)
            return 200, answer
        return self.send(version, event, chain)

    def send(self, version, event, chain):
        service = self.service
        if service.draws("throttle"):
            service.count("throttled")
            return 429, {"Message": "Rate Exceeded.", "Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
        if service.draws("drop"):
            service.count("dropped")
            return 202, None
        for _ in range(1 + service.draws("double")):
            self.pending.put(Sent(version, event, chain))
        return 202, None

    def run(self, version, request_id, event, chain, may_be_killed=False):
        """Runs an invocation. Returns its answer, and whether it is an error."""
        service, name = self.service, version.properties["FunctionName"]
        if LAMBDA not in service.roles[version.properties["Role"]].trusts:
            raise Refused(f"{LAMBDA} may not take the role of {name}")
        with self.pool.taken(version) as emulator:
            service.count("invocations", f"of {name}")
            if may_be_killed and service.draws("kill"):
                service.count("killed")
                threading.Timer(service.drawn(service.asked.kill_within), emulator.kill).start()
            answer, has_failed = emulator.run(request_id, event, chain + Counter([name]))
        if has_failed and not service.is_over:
            service.count("failed")
            service.failures.append((request_id, answer))
        return answer, has_failed

    def recurs_too_often(self, version, chain):
        properties = version.properties
        return chain[properties["FunctionName"]] >= RECURSIONS_MAX and properties.get("RecursiveLoop") != "Allow"

    def run_pending(self):
        """Runs asynchronous invocations, one after the other."""
        while not self.service.is_over:
            sent = self.pending.get()
            if sent is None:
                return
            if self.recurs_too_often(sent.version, sent.chain):
                self.service.count("recursions")
                self.bury(sent, "recursion")
                continue
            answer, has_failed = self.run(sent.version, sent.id, sent.event, sent.chain, may_be_killed=True)
            if not has_failed or self.service.is_over:
                continue
            if sent.tries < RETRIES:
                sent.tries += 1
                self.pending.put(sent)
            else:
                self.bury(sent, answer["errorMessage"])

    def bury(self, sent, why):
        """An event that failed every time goes to the dead letters, if the role allows it."""
        target = sent.version.properties["DeadLetterConfig"]["TargetArn"]
        if not self.service.roles[sent.version.properties["Role"]].allows("sqs:SendMessage", target):
            raise Refused(f"sqs:SendMessage on {target}")
        self.service.queues[target].send(sent.event.decode(), 0, sent.chain, {"RequestID": sent.id, "ErrorMessage": why})
