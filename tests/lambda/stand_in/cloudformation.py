"""A CloudFormation that creates nothing, fails on request, and rolls everything back as AWS does; and a bucket for its templates.

It knows the calls that `hark deploy` and `hark destroy` make, and refuses what AWS refuses: to change a stack that is being changed, or that could
not be made.
"""
import itertools
import json
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

STACK = "AWS::CloudFormation::Stack"
NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
NUMBERS = itertools.count(1)


class Invalid(Exception):
    """A call that AWS refuses."""


@dataclass
class Stack:
    name: str
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    template: dict = field(default_factory=lambda: {"Resources": {}, "Outputs": {}})
    events: list = field(default_factory=list)
    is_gone: bool = False

    def tell(self, logical, kind, status, reason=""):
        self.events.append({"EventId": f"event-{next(NUMBERS)}", "StackName": self.name, "LogicalResourceId": logical,
                            "ResourceType": kind, "ResourceStatus": status, "ResourceStatusReason": reason})

    def become(self, status, reason=""):
        self.status, self.reason = status, reason
        self.tell(self.name, STACK, status, reason)


def needs(resource):
    """The resources that one refers to."""
    text = json.dumps(resource)
    parts = resource.get("DependsOn", []) + text.replace('"', " ").replace("${", " ").replace("}", " ").split()
    return {part.strip("[]{},").split(".")[0] for part in parts}


def in_order(resources):
    """The resources in steps, each of which needs only earlier ones."""
    left, done = dict(resources), set()
    while left:
        step = [name for name, resource in left.items() if not needs(resource) & (set(left) - {name})]
        assert step, f"these need each other: {sorted(left)}"
        yield step
        done |= set(step)
        left = {name: resource for name, resource in left.items() if name not in done}


class CloudFormation:
    """`failing` has the reasons why resources cannot be created, changed or, with `delete NAME`, deleted, and with `rollback NAME` rolled back."""

    def __init__(self, pause=0.001):
        self.pause, self.failing, self.stacks, self.sets, self.objects = pause, {}, {}, {}, {}
        self.lock, self.puts = threading.RLock(), 0

    def answer(self, method, path, headers, body):
        if "/s3/" in headers.get("authorization", ""):
            return self.store(method, path, body)
        call = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action = call["Action"]
        try:
            with self.lock:
                told = getattr(self, action)(call)
            return 200, {}, f"<{action}Response><{action}Result>{xml(told)}</{action}Result></{action}Response>".encode()
        except Invalid as why:
            return 400, {}, f"<ErrorResponse><Error><Code>ValidationError</Code><Message>{escape(str(why))}</Message></Error></ErrorResponse>".encode()

    def store(self, method, path, body):
        """Buckets exist as long as their stack says so."""
        bucket, _, key = path.partition("?")[0].strip("/").partition("/")
        if method == "PUT":
            self.puts += 1
            self.objects[bucket, key] = body
        found = (bucket, key) in self.objects if key else any(each == bucket for each, _ in self.objects)
        if method == "DELETE":
            assert key or not found, f"{bucket} is not empty"
            self.objects.pop((bucket, key), None)
        if method == "HEAD" and not found:
            return 404, {}, b""
        keys = "".join(f"<Contents><Key>{escape(name)}</Key></Contents>" for each, name in self.objects if each == bucket)
        return 200, {}, f"<ListBucketResult>{keys}</ListBucketResult>".encode() if method == "GET" else b""

    def stack(self, name):
        if name not in self.stacks:
            raise Invalid(f"Stack with id {name} does not exist")
        return self.stacks[name]

    def DescribeStacks(self, call):
        stack = self.stack(call["StackName"])
        if stack.is_gone:
            # A stack that is described just before it is deleted.
            del self.stacks[stack.name]
        outputs = [{"OutputKey": name, "OutputValue": self.output(stack, output["Value"])}
                   for name, output in stack.template["Outputs"].items()]
        return {"Stacks": [{"StackName": stack.name, "StackStatus": stack.status, "StackStatusReason": stack.reason,
                            "Outputs": outputs}]}

    @staticmethod
    def output(stack, value):
        return stack.name + "-code" if value == {"Ref": "CodeBucket"} else value if isinstance(value, str) else "other"

    @staticmethod
    def GetCallerIdentity(_):
        return {"Account": "123456789012"}

    def DescribeStackEvents(self, call):
        return {"StackEvents": self.stack(call["StackName"]).events[::-1]}

    def ListStackResources(self, call):
        resources = self.stack(call["StackName"]).template["Resources"]
        return {"StackResourceSummaries": [
            {"LogicalResourceId": name, "ResourceType": resource["Type"], "PhysicalResourceId": physical(name, resource)}
            for name, resource in resources.items()]}

    def CreateChangeSet(self, call):
        name, is_new = call["StackName"], call["ChangeSetType"] == "CREATE"
        if is_new and name not in self.stacks:
            self.stacks[name] = Stack(name)
        stack = self.stack(name)
        allowed = ["REVIEW_IN_PROGRESS"] if is_new else ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"]
        if stack.status not in allowed:
            raise Invalid(f"Stack:{name} is in {stack.status} state and can not be updated.")
        id = f"{call['ChangeSetName']}/{next(NUMBERS)}"
        self.sets[id] = stack, json.loads(call["TemplateBody"])
        return {"Id": id}

    def DescribeChangeSet(self, call):
        stack, template = self.sets[call["ChangeSetName"]]
        changes = [{"ResourceChange": {"Action": action, "LogicalResourceId": name, "ResourceType": resource["Type"],
                                       "PhysicalResourceId": "" if action == "Add" else physical(name, resource)}}
                   for action, name, resource in changes_of(stack.template, template)]
        is_same = stack.template == template
        return {"Status": "FAILED" if is_same else "CREATE_COMPLETE", "StatusReason": NO_CHANGES if is_same else "", "Changes": changes}

    def DeleteChangeSet(self, call):
        self.sets.pop(call["ChangeSetName"], None)
        return {}

    def ExecuteChangeSet(self, call):
        stack, template = self.sets.pop(call["ChangeSetName"])
        verb = "CREATE" if stack.status == "REVIEW_IN_PROGRESS" else "UPDATE"
        stack.become(f"{verb}_IN_PROGRESS", "User Initiated")
        threading.Thread(target=self.execute, args=(stack, template, verb), daemon=True).start()
        return {}

    def execute(self, stack, template, verb):
        before, made = stack.template, []
        actions = {name: action for action, name, _ in changes_of(before, template)}
        for step in in_order(template["Resources"]):
            step = [name for name in step if name in actions]
            bad = [name for name in step if name in self.failing]
            # Other changes in progress are given up.
            for name in step:
                kind, word = template["Resources"][name]["Type"], "CREATE" if actions[name] == "Add" else "UPDATE"
                self.tell(stack, name, kind, f"{word}_IN_PROGRESS")
                if name in bad:
                    self.tell(stack, name, kind, f"{word}_FAILED", self.failing[name])
                elif bad:
                    self.tell(stack, name, kind, f"{word}_FAILED", f"Resource {'creation' if word == 'CREATE' else 'update'} cancelled")
                else:
                    self.tell(stack, name, kind, f"{word}_COMPLETE")
                made.append(name)
            if bad:
                return self.roll_back(stack, verb, template, made, actions, bad)
        with self.lock:
            stack.template = template
            stack.become(f"{verb}_COMPLETE")

    def roll_back(self, stack, verb, template, made, actions, bad):
        start = "ROLLBACK" if verb == "CREATE" else "UPDATE_ROLLBACK"
        reason = f"The following resource(s) failed to {'create' if verb == 'CREATE' else 'update'}: [{', '.join(bad)}]. "
        with self.lock:
            stack.become(f"{start}_IN_PROGRESS", reason)
        for name in reversed(made):
            kind = template["Resources"][name]["Type"]
            if why := self.failing.get(f"rollback {name}"):
                self.tell(stack, name, kind, "DELETE_FAILED" if actions[name] == "Add" else "UPDATE_FAILED", why)
                with self.lock:
                    return stack.become(f"{start}_FAILED", f"The following resource(s) failed to update: [{name}].")
            self.tell(stack, name, kind, "DELETE_COMPLETE" if actions[name] == "Add" else "UPDATE_COMPLETE")
        with self.lock:
            if verb == "UPDATE":
                stack.become("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
            stack.become(f"{start}_COMPLETE")
        return None

    def tell(self, stack, *event):
        time.sleep(self.pause)
        with self.lock:
            stack.tell(*event)

    def DeleteStack(self, call):
        stack = self.stacks.get(call["StackName"])
        if stack:
            stack.become("DELETE_IN_PROGRESS", "User Initiated")
            threading.Thread(target=self.delete, args=(stack,), daemon=True).start()
        return {}

    def delete(self, stack):
        for name, resource in reversed(stack.template["Resources"].items()):
            if resource.get("DeletionPolicy") == "Retain":
                continue
            if why := self.failing.get(f"delete {name}"):
                self.tell(stack, name, resource["Type"], "DELETE_FAILED", why)
                with self.lock:
                    return stack.become("DELETE_FAILED", f"The following resource(s) failed to delete: [{name}]. ")
            self.tell(stack, name, resource["Type"], "DELETE_COMPLETE")
        with self.lock:
            stack.is_gone = True
        return None


def physical(name, resource):
    """A resource's own name, if it is literal in the template."""
    own = [value for key, value in resource["Properties"].items() if key.endswith("Name") and isinstance(value, str)]
    return own[0] if own else name


def changes_of(before, after):
    """The action, name and resource of each change."""
    old, new = before["Resources"], after["Resources"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield "Add" if name not in old else "Remove" if name not in new else "Modify", name, new.get(name) or old[name]


def xml(value):
    match value:
        case dict():
            return "".join(f"<{name}>{xml(each)}</{name}>" for name, each in value.items())
        case list():
            return "".join(f"<member>{xml(each)}</member>" for each in value)
    return escape(str(value))
