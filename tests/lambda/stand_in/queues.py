"""SQS queues, and the pollers that invoke functions with their messages."""
import hashlib
import json
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from stand_in.policies import Refused
from stand_in.template import REGION

MESSAGES_MAX, DELAY_MAX, MESSAGE_BYTES_MAX, BATCH_BYTES_MAX = 10, 900, 1 << 20, 1 << 20
# The actions that a function's role must allow for messages.
POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


@dataclass(eq=False)
class Message:
    body: str
    visible_at: float
    chain: Counter
    attributes: dict
    received: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Queue:
    """`hurry` divides the time for which a message that was received is hidden."""

    def __init__(self, arn, properties, hurry):
        self.arn, self.name, self.properties, self.hurry = arn, properties["QueueName"], properties, hurry
        self.messages, self.has_changed = [], threading.Condition()

    def send(self, body, delay, chain=(), attributes=None):
        with self.has_changed:
            self.messages.append(Message(body, time.monotonic() + delay, Counter(chain), attributes or {}))
            self.has_changed.notify_all()

    def receive(self, count, queues):
        """Messages that are visible; waits for one for a second. Those that were received too often become dead letters."""
        with self.has_changed:
            now = time.monotonic()
            ready = [message for message in self.messages if message.visible_at <= now]
            if not ready:
                soonest = min((message.visible_at for message in self.messages), default=now + 1)
                self.has_changed.wait(min(max(soonest - now, 0.001), 1))
                return []
            found = []
            for message in ready[:count]:
                redrive = self.properties.get("RedrivePolicy")
                if redrive and message.received >= redrive["maxReceiveCount"]:
                    self.messages.remove(message)
                    queues[redrive["deadLetterTargetArn"]].send(message.body, 0, message.chain)
                    continue
                message.received += 1
                message.visible_at = now + self.properties["VisibilityTimeout"] / self.hurry
                found.append(message)
            return found

    def delete(self, messages):
        with self.has_changed:
            self.messages = [message for message in self.messages if message not in messages]


class Queues(dict):
    """Queues by their ARNs."""

    def send_batch(self, call, caller, service):
        """The answer to a call of `SendMessageBatch`: status, and what follows."""
        queue = next((each for each in self.values() if service.address.queue(each.name) == call["QueueUrl"]), None)
        if queue is None:
            return 400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": call["QueueUrl"]}
        if caller and not service.roles[caller.version.properties["Role"]].allows("sqs:SendMessage", queue.arn):
            raise Refused(f"sqs:SendMessage on {queue.arn}")
        entries = call["Entries"]
        bytes_each = [len(entry["MessageBody"].encode()) for entry in entries]
        if not 0 < len(entries) <= MESSAGES_MAX:
            return 400, {"__type": "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "message": "1 to 10"}
        if max(bytes_each) > MESSAGE_BYTES_MAX or sum(bytes_each) > BATCH_BYTES_MAX:
            return 400, {"__type": "com.amazonaws.sqs#BatchRequestTooLong", "message": "too long"}
        if not all(type(entry["DelaySeconds"]) is int and 0 <= entry["DelaySeconds"] <= DELAY_MAX for entry in entries):
            return 400, {"__type": "com.amazonaws.sqs#InvalidParameterValue", "message": "DelaySeconds"}
        for entry in entries:
            service.count("messages")
            queue.send(entry["MessageBody"], entry["DelaySeconds"], caller.chain if caller else ())
        return 200, {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


class Mapping:
    """Invokes a function with the messages of a queue."""

    def __init__(self, service, properties):
        self.service, self.properties = service, properties

    def poll(self):
        service = self.service
        queue = service.queues[self.properties["EventSourceArn"]]
        version = service.functions.find(self.properties["FunctionName"])
        missing = [action for action in POLLING if not service.roles[version.properties["Role"]].allows(action, queue.arn)]
        if missing:
            raise Refused(f"{missing} on {queue.arn}")
        with ThreadPoolExecutor(service.asked.slots) as runners:
            while not service.is_over:
                if messages := queue.receive(self.properties["BatchSize"], service.queues):
                    runners.submit(service.guarded, self.deliver, queue, messages)

    def deliver(self, queue, messages):
        """Deletes the messages, except those that the function reports as failed. If the function fails, all are delivered again."""
        service = self.service
        version = service.functions.find(self.properties["FunctionName"])
        chain = max((message.chain for message in messages), key=Counter.total)
        if service.functions.recurs_too_often(version, chain):
            service.count("recursions")
            return queue.delete(messages)
        event = {"Records": [record(queue, message) for message in messages]}
        answer, has_failed = service.functions.run(version, str(uuid.uuid4()), json.dumps(event).encode(), chain, True)
        if has_failed:
            return None
        failed = []
        if "ReportBatchItemFailures" in self.properties.get("FunctionResponseTypes", []) and isinstance(answer, dict):
            failed = [each["itemIdentifier"] for each in answer.get("batchItemFailures") or []]
        return queue.delete([message for message in messages if message.id not in failed])


def record(queue, message):
    """A message in Lambda's format."""
    return {"messageId": message.id, "receiptHandle": f"{message.id}/{message.received}", "body": message.body,
            "attributes": {"ApproximateReceiveCount": str(message.received), "SentTimestamp": str(int(time.time() * 1000))},
            "messageAttributes": {}, "md5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
            "eventSource": "aws:sqs", "eventSourceARN": queue.arn, "awsRegion": REGION}
