"""The triggers that start sessions: schedules, uploads to S3, and requests to an HTTP API."""
import base64
import contextlib
import itertools
import json
import re
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler

from stand_in.policies import SCHEDULER, Refused, permits
from stand_in.template import ACCOUNT, REGION

SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
SEQUENCE = itertools.count(1)
# The shortest and the longest time that an API may wait for a function, in milliseconds.
API_TIMES = range(50, 30_001)


class Schedule:
    """`minute` says how many seconds a minute takes here."""

    def __init__(self, service, properties):
        self.service, self.name = service, properties["Name"]
        self.expression, self.target = properties["ScheduleExpression"], properties["Target"]
        if properties["FlexibleTimeWindow"] != {"Mode": "OFF"}:
            raise ValueError(f"{self.name} is not on time")

    def fire(self, time=None):
        """Invokes for this time, or for one of its own."""
        arn, role = self.target["Arn"], self.service.roles[self.target["RoleArn"]]
        if SCHEDULER not in role.trusts or not role.allows("lambda:InvokeFunction", arn):
            raise Refused(f"lambda:InvokeFunction on {arn} by {SCHEDULER}")
        self.service.count(f"fired {self.name}")
        event = self.target["Input"].replace("<aws.scheduler.scheduled-time>", time or f"time-{next(SEQUENCE)}")
        return self.service.functions.invoke(arn, "Event", event.encode())

    def run(self, minute):
        """Fires at its rate. A schedule with an expression of times is only fired by tests."""
        rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", self.expression)
        while rate and not self.service.is_over:
            time.sleep(int(rate[1]) * SECONDS[rate[2]] / 60 * minute)
            self.fire()


class Buckets:
    def __init__(self, service, buckets, permissions):
        self.service, self.permissions = service, permissions
        self.buckets = {properties["BucketName"]: properties for properties in buckets}

    def upload(self, bucket, key, times=1, size=1):
        """Sends the notification of an upload `times` times. Returns the statuses of the invocations."""
        told = []
        sequencer = f"{next(SEQUENCE):016X}"
        for one in self.buckets[bucket].get("NotificationConfiguration", {}).get("LambdaConfigurations", []):
            rules = {rule["Name"]: rule["Value"] for rule in one.get("Filter", {}).get("S3Key", {}).get("Rules", [])}
            is_meant = key.startswith(rules.get("prefix", "")) and key.endswith(rules.get("suffix", ""))
            if not is_meant or one["Event"] != "s3:ObjectCreated:*":
                continue
            if not permits(self.permissions, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}", one["Function"], ACCOUNT):
                raise Refused(f"{one['Function']} for {bucket}")
            event = json.dumps({"Records": [record(bucket, key, sequencer, size)]}).encode()
            told += [self.service.functions.invoke(one["Function"], "Event", event)[0] for _ in range(times)]
        return told


def record(bucket, key, sequencer, size):
    """S3's notification of an upload: the key is encoded as in a form."""
    return {
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "AWS:TEST"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"}, "responseElements": {},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "test",
               "bucket": {"name": bucket, "ownerIdentity": {"principalId": "TEST"}, "arn": f"arn:aws:s3:::{bucket}"},
               "object": {"key": urllib.parse.quote_plus(key, safe="/"), "size": size, "eTag": "0" * 32, "sequencer": sequencer}},
    }


class Api:
    """Hands requests to a function in the format 1.0, and answers as it says."""

    def __init__(self, service, template):
        self.service = service
        (self.id, api), = template.of("ApiGatewayV2::Api").items()
        (name, self.integration), = template.of("ApiGatewayV2::Integration").items()
        (route,), (stage,) = (template.of(f"ApiGatewayV2::{kind}").values() for kind in ("Route", "Stage"))
        is_whole = (api["ProtocolType"], route["RouteKey"], stage["StageName"], stage["AutoDeploy"]) == ("HTTP", "$default", "$default", True)
        is_joined = {self.integration["ApiId"], route["ApiId"], stage["ApiId"]} == {self.id} and route["Target"] == f"integrations/{name}"
        form = self.integration["IntegrationType"], self.integration["PayloadFormatVersion"]
        if not (is_whole and is_joined and form == ("AWS_PROXY", "1.0") and self.integration["TimeoutInMillis"] in API_TIMES):
            raise ValueError("the API is not joined to a function")
        self.permissions = template.of("Lambda::Permission").values()

    def handle(self, method, target, headers, body):
        """The status, headers and body of the answer."""
        function = self.integration["IntegrationUri"]
        source = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/$default/$default"
        if not permits(self.permissions, "apigateway.amazonaws.com", source, function, ACCOUNT):
            return 500, {}, b'{"message":"Internal Server Error"}'
        answered = []
        work = threading.Thread(daemon=True, target=lambda: answered.append(self.service.functions.invoke(
            function, "RequestResponse", json.dumps(requested(self.id, method, target, headers, body)).encode())))
        work.start()
        work.join(self.integration["TimeoutInMillis"] / 1_000)
        if not answered:
            return 503, {}, b'{"message":"Service Unavailable"}'
        answer = answered[0][1]
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return 500, {}, b'{"message":"Internal Server Error"}'
        body = (answer.get("body") or "").encode()
        return answer["statusCode"], answer.get("headers") or {}, base64.b64decode(body) if answer.get("isBase64Encoded") else body


def requested(api, method, target, headers, body):
    """A request, as an API hands it to functions in the format 1.0."""
    path, _, query = target.partition("?")
    asked = urllib.parse.parse_qs(query, keep_blank_values=True)
    many = {name: headers.get_all(name) for name in headers}
    try:
        text, is_encoded = body.decode(), False
    except UnicodeDecodeError:
        text, is_encoded = base64.b64encode(body).decode(), True
    return {
        "version": "1.0", "resource": "$default", "path": urllib.parse.unquote(path), "httpMethod": method,
        "headers": {name: values[-1] for name, values in many.items()}, "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in asked.items()} or None,
        "multiValueQueryStringParameters": asked or None,
        "requestContext": {
            "accountId": ACCOUNT, "apiId": api, "domainName": "test", "requestId": str(uuid.uuid4()), "stage": "$default",
            "httpMethod": method, "path": path, "protocol": "HTTP/1.1", "identity": {"sourceIp": "127.0.0.1"},
        },
        "pathParameters": None, "stageVariables": None, "body": text or None, "isBase64Encoded": is_encoded,
    }


def front(handle):
    """The class of handlers that answer HTTP requests with `handle`."""

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = handle(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            # The client may be gone, such as a function that was killed.
            with contextlib.suppress(OSError):
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer

        def log_message(self, *_):
            pass

    return Front
