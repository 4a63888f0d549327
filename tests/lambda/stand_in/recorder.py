"""A proxy in front of the services of AWS that records each call's principal, action and resource, in IAM's terms."""
import http.client
import json
import re
import threading
import urllib.parse
from dataclasses import dataclass
from http.server import ThreadingHTTPServer

from stand_in.template import ACCOUNT, REGION, without
from stand_in.triggers import front

SIGNED = re.compile(r"Credential=(\w+)/\d+/([\w-]+)/(\w+)/aws4_request")
# The actions that allow the calls of a transaction.
PARTS = {"ConditionCheck": "ConditionCheckItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem"}
HOP_HEADERS = {"connection", "content-length", "transfer-encoding", "date", "server"}


@dataclass(frozen=True, order=True)
class Call:
    who: str
    action: str
    resource: str


class Recorder:
    def __init__(self, port):
        self.port, self.calls, self.unknown = port, set(), set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), front(self.handle))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.own_port = self.server.server_address[1]

    def handle(self, method, target, headers, body):
        signed = SIGNED.search(headers.get("authorization", ""))
        if signed:
            who, _, service = signed.groups()
            try:
                self.calls |= {Call(who, *each) for each in allowed_by(service, method, target, headers, body)}
            except (KeyError, ValueError) as error:
                self.unknown.add(f"{service} {method} {target} {headers.get('x-amz-target', '')}: {error!r}")
            if service == "cloudformation":
                body = self.edited(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, target, body, {**dict(headers.items()), "content-length": str(len(body))})
        answer = connection.getresponse()
        told = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_HEADERS}
        return answer.status, told, answer.read()

    @staticmethod
    def edited(body):
        call = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        if "TemplateBody" not in call:
            return body
        template = json.loads(call["TemplateBody"])
        without(template)
        return urllib.parse.urlencode({**call, "TemplateBody": json.dumps(template)}).encode()


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def allowed_by(service, method, target, headers, body):
    """The actions that allow a call, each with its resource."""
    path, _, query = target.partition("?")
    path = urllib.parse.unquote(path)
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    match service:
        case "dynamodb":
            return of_table(operation, json.loads(body))
        case "sqs":
            name = json.loads(body)["QueueUrl"].rpartition("/")[2]
            return [("sqs:" + operation.removesuffix("Batch"), arn("sqs", name))]
        case "logs":
            group = json.loads(body)
            name = group.get("logGroupName") or group["logGroupIdentifier"]
            return [(f"logs:{operation}", name if name.startswith("arn:") else arn("logs", f"log-group:{name}:*"))]
        case "lambda":
            found = re.fullmatch(r"/20\d\d-\d\d-\d\d/functions/([^/]+)(/.*)?", path)
            if not found:
                raise KeyError(path)
            name, rest = found.groups()
            name += "".join(f":{alias}" for alias in urllib.parse.parse_qs(query).get("Qualifier", []))
            action = {("POST", "/invocations"): "InvokeFunction", ("GET", None): "GetFunction",
                      ("GET", "/configuration"): "GetFunctionConfiguration", ("GET", "/aliases"): "ListAliases"}[method, rest]
            return [(f"lambda:{action}", arn("lambda", f"function:{name}"))]
        case "s3":
            bucket, _, key = path.strip("/").partition("/")
            return of_bucket(method, bucket, key)
        case "cloudformation":
            call = dict(urllib.parse.parse_qsl(body.decode() or query, keep_blank_values=True))
            return [(f"cloudformation:{call['Action']}", arn("cloudformation", f"stack/{call['StackName']}/*"))]
        case "sts":
            return [(f"sts:{dict(urllib.parse.parse_qsl(body.decode()))['Action']}", "*")]
    raise KeyError(service)


def of_table(operation, call):
    table = lambda name, index=None: name if name.startswith("arn:") else arn("dynamodb", f"table/{name}" + (f"/index/{index}" if index else ""))
    if operation.startswith("Transact"):
        parts = [next(iter(item.items())) for item in call["TransactItems"]]
        return [(f"dynamodb:{PARTS[kind]}", table(part["TableName"])) for kind, part in parts]
    if operation.startswith("Batch"):
        return [(f"dynamodb:{operation}", table(name)) for name in call["RequestItems"]]
    if operation == "DescribeLimits":
        return [(f"dynamodb:{operation}", "*")]
    return [(f"dynamodb:{operation}", table(call["TableName"], call.get("IndexName")))]


def of_bucket(method, bucket, key):
    if key:
        action = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]
        found = [(f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}")]
        # Without it a missing object is a refusal.
        return found + [("s3:ListBucket", f"arn:aws:s3:::{bucket}")] * (method == "HEAD")
    action = {"GET": "ListBucket", "HEAD": "ListBucket", "DELETE": "DeleteBucket"}[method]
    return [(f"s3:{action}", f"arn:aws:s3:::{bucket}")]
