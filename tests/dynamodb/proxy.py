#!/usr/bin/env python3
"""A proxy of a DynamoDB server that counts requests and injects the faults that no emulator simulates.

    proxy.py --server HOST:PORT [--port N] [--seed S] [--rate R] [--faults NAME,...] [--index-delay SECONDS] [--hold-at N]
             [--units] [--refuse NAME]

It prints `listening on 127.0.0.1:PORT`, and serves until it is ended. A share R of all requests meets a fault, chosen by the seed:

    conflict    a write is refused with TransactionConflict, because another transaction is using one of its items
    throttle    ProvisionedThroughputExceededException, ThrottlingException or RequestLimitExceeded
    broken      InternalServerError (500) or a gateway's 503, before anything has happened
    partial     only a part of a batch is processed; the rest is returned as UnprocessedItems or UnprocessedKeys
    cut         the connection is closed before the request reaches the server
    lost        the request is processed, but the connection is closed without an answer
    late        the connection is closed, and the request reaches the server later, often after its repetition

Queries of an index leave out items that were written in the last `--index-delay` seconds, as an index follows its table
with a delay. After `--hold-at N` writes, the next ones are held (neither forwarded nor answered) until `POST /go`, so that a
writer can be killed or stopped at exactly that point.

With `--refuse NAME` every request is answered with this error of AWS; `silence` is no answer at all, and `page` a web page.

    GET /counts     a JSON object: `requests` by API call, `faults` by kind, `held`, `items`, `hottest` (the items with the most
                    writes), `largest` (bytes of the largest request), `units` (`read` and `write`, with `--units`), `units_by_call`,
                    `polls` (`requests` and `read`: queries of indexes, which the others leave out with `--units`)
    POST /reset     forgets the counts
    POST /go        forwards what is held, and holds nothing more

A client only needs the proxy's address as its endpoint. Neither this proxy nor the emulators check signatures.
"""
import argparse
import asyncio
import collections
import json
import random
import time

WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}
READS = {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}
FAULTS = ["conflict", "throttle", "broken", "partial", "cut", "lost", "late"]
# The prefix of error names.
NAMESPACE = "com.amazonaws.dynamodb.v20120810#"
# The minimal and maximal delay of a late request, in seconds.
LATE = (0.05, 2.0)


class Cut(Exception):
    """The connection ends without an answer."""


def written(call, body):
    """For each item that a request writes or checks: the table, the attributes of its key or the item, and whether it is written."""
    if call == "TransactWriteItems":
        for entry in body["TransactItems"]:
            for kind, part in entry.items():
                yield part["TableName"], part.get("Key") or part.get("Item"), kind != "ConditionCheck"
    elif call == "BatchWriteItem":
        for table, entries in body["RequestItems"].items():
            for entry in entries:
                for part in entry.values():
                    yield table, part.get("Key") or part.get("Item"), True
    elif call in WRITES:
        yield body["TableName"], body.get("Key") or body.get("Item"), True


def error(name, message, status=400, **more):
    """An error response."""
    return status, json.dumps({"__type": NAMESPACE + name, "message": message, "Message": message, **more}).encode()


def units_of(answer):
    """The capacity units that an answer says its request has consumed, indexes included."""
    consumed = answer.get("ConsumedCapacity", [])
    return sum(each["CapacityUnits"] for each in (consumed if isinstance(consumed, list) else [consumed]))


def is_poll(body):
    """Whether a request looks into an index for what may be there."""
    return "IndexName" in body


def conflict(call, body, chance):
    """The error that another transaction is using one of the items."""
    if call == "TransactWriteItems":
        reasons = [{"Code": "None"} for _ in body["TransactItems"]]
        reasons[chance.randrange(len(reasons))] = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
        codes = ", ".join(reason["Code"] for reason in reasons)
        message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        return error("TransactionCanceledException", message, CancellationReasons=reasons)
    return error("TransactionConflictException", "Transaction is ongoing for the item")


def throttled(chance):
    """The error that there were too many requests."""
    name, message = chance.choice([
        ("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded"),
        ("ThrottlingException", "Rate of requests exceeds the allowed throughput"),
        ("RequestLimitExceeded", "Throughput exceeds the current throughput limit for your account"),
    ])
    return error(name, message)


def broken(chance):
    """The error that the service is unavailable."""
    if chance.random() < 0.5:
        return error("InternalServerError", "Internal server error", 500)
    return 503, b"<html><body>Service Unavailable</body></html>"


def split(requested, is_get, chance):
    """Splits a batch's `RequestItems` into a processed and an unprocessed part."""
    parts = ({}, {})
    for table, entries in requested.items():
        for entry in entries["Keys"] if is_get else entries:
            part = chance.choice(parts)
            if is_get:
                part.setdefault(table, {**entries, "Keys": []})["Keys"].append(entry)
            else:
                part.setdefault(table, []).append(entry)
    return parts


async def read_message(reader):
    """The first line, headers and body of a request or a response; None at the end of the connection."""
    first = await reader.readline()
    if not first:
        return None
    headers = {}
    while (line := (await reader.readline()).strip()):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return first.decode("latin-1").split(), headers, body


class Server:
    """The server behind the proxy, with pooled connections."""

    def __init__(self, address):
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.idle = []

    async def ask(self, headers, body):
        """The status and body of the server's response."""
        while True:
            is_new = not self.idle
            reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port, limit=2**20)
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name not in (
                "host", "content-length", "connection", "transfer-encoding", "expect"))
            writer.write((f"POST / HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n{head}"
                          f"content-length: {len(body)}\r\n\r\n").encode("latin-1") + body)
            try:
                await writer.drain()
                answer = await read_message(reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                answer = None
            if answer is None:
                writer.close()
                if is_new:
                    raise Cut
                continue  # The server has closed an idle connection.
            if answer[1].get("connection", "").lower() == "close":
                writer.close()
            else:
                self.idle.append((reader, writer))
            return int(answer[0][1]), answer[2]


class Proxy:
    """The state of the proxy."""

    def __init__(self, given):
        self.server = Server(given.server)
        self.chance = random.Random(given.seed)
        self.rate, self.faults = given.rate, given.faults
        self.index_delay, self.hold_at = given.index_delay, given.hold_at
        self.key_names = given.keys
        self.counts_units, self.refuse = given.units, given.refuse
        self.go = asyncio.Event()
        self.late = set()
        self.written_at = {}
        self.reset()

    def reset(self):
        self.requests, self.injected = collections.Counter(), collections.Counter()
        self.units = {"read": 0.0, "write": 0.0}
        self.units_by_call = collections.Counter()
        self.polls = {"requests": 0, "read": 0.0}
        self.writes, self.held, self.seen_writes, self.largest = collections.Counter(), 0, 0, 0

    def counts(self):
        """The response to `GET /counts`."""
        return {
            "requests": dict(self.requests), "faults": dict(self.injected), "held": self.held,
            "items": len(self.writes), "largest": self.largest, "units": self.units,
            "units_by_call": dict(self.units_by_call), "polls": self.polls,
            "hottest": [{"item": item, "writes": count} for item, count in self.writes.most_common(10)],
        }

    def name_of(self, table, attributes):
        """The name of an item, from its table and key."""
        return " ".join([table, *(next(iter(attributes[name].values())) for name in self.key_names if name in attributes)])

    def choose(self, call):
        """The fault that a request meets, if any."""
        if self.chance.random() >= self.rate:
            return None
        fault = self.chance.choice(self.faults)
        if fault == "conflict" and call not in WRITES or fault == "partial" and not call.startswith("Batch"):
            return None
        return fault

    async def forward(self, call, headers, raw):
        """Forwards a request to the server, and records the written items."""
        if call in WRITES:
            now = time.monotonic()
            for table, attributes, is_write in written(call, json.loads(raw)):
                if is_write:
                    item = self.name_of(table, attributes)
                    self.writes[item] += 1
                    self.written_at[item] = now
        if not self.counts_units:
            return await self.server.ask(headers, raw)
        asked = json.dumps({**json.loads(raw), "ReturnConsumedCapacity": "INDEXES"}).encode()
        status, answer = await self.server.ask(headers, asked if call in WRITES | READS else raw)
        if status == 200 and call in WRITES | READS:
            units = units_of(json.loads(answer))
            if is_poll(json.loads(raw)):
                self.polls["read"] += units
            else:
                self.units["write" if call in WRITES else "read"] += units
                self.units_by_call[call] += units
        return status, answer

    async def forward_late(self, call, headers, raw):
        await asyncio.sleep(self.chance.uniform(*LATE))
        try:
            await self.forward(call, headers, raw)
        except Cut:
            pass

    def without_new(self, table, answer):
        """The response of an index without the newest writes."""
        answer = json.loads(answer)
        oldest = time.monotonic() - self.index_delay
        items = [item for item in answer.get("Items", ())
                 if self.written_at.get(self.name_of(table, item), 0) <= oldest]
        answer["Count"] = len(items)
        if "Items" in answer:
            answer["Items"] = items
        return json.dumps(answer).encode()

    async def answer(self, headers, raw):
        """The status and body of the response to a request."""
        call = headers.get("x-amz-target", "?").rpartition(".")[2]
        self.largest = max(self.largest, len(raw))
        body = json.loads(raw) if raw else {}
        if self.counts_units and is_poll(body):
            self.polls["requests"] += 1
        else:
            self.requests[call] += 1
        if call in WRITES:
            self.seen_writes += 1
            if self.hold_at is not None and self.seen_writes > self.hold_at:
                self.held += 1
                await self.go.wait()
        if self.refuse == "silence":
            await asyncio.sleep(3600)
        if self.refuse == "page":
            return 404, b"<html><body>Welcome</body></html>"
        if self.refuse:
            return error(self.refuse, "AWS says why.")
        fault = self.choose(call)
        if fault:
            self.injected[fault] += 1
        if fault == "conflict":
            return conflict(call, body, self.chance)
        if fault == "throttle":
            return throttled(self.chance)
        if fault == "broken":
            return broken(self.chance)
        if fault == "cut":
            raise Cut
        if fault == "late":
            task = asyncio.create_task(self.forward_late(call, headers, raw))
            self.late.add(task)
            task.add_done_callback(self.late.discard)
            raise Cut
        if fault == "partial":
            return await self.answer_in_part(call, headers, body)
        status, answer = await self.forward(call, headers, raw)
        if fault == "lost":
            raise Cut
        if self.index_delay and status == 200 and call == "Query" and "IndexName" in body:
            answer = self.without_new(body["TableName"], answer)
        return status, answer

    async def answer_in_part(self, call, headers, body):
        """The status and body of the response to a partially processed batch."""
        is_get = call == "BatchGetItem"
        done, rest = split(body["RequestItems"], is_get, self.chance)
        answer = {"Responses": {}} if is_get else {}
        if done:
            status, text = await self.forward(call, headers, json.dumps({**body, "RequestItems": done}).encode())
            if status != 200:
                return status, text
            answer = json.loads(text)
        back = answer.setdefault("UnprocessedKeys" if is_get else "UnprocessedItems", {})
        for table, entries in rest.items():
            if is_get:
                back.setdefault(table, {**entries, "Keys": []})["Keys"] += entries["Keys"]
            else:
                back[table] = back.get(table, []) + entries
        return 200, json.dumps(answer).encode()

    async def control(self, method, path):
        """The response to a request to the proxy itself."""
        if (method, path) == ("GET", "/counts"):
            return 200, json.dumps(self.counts()).encode()
        if (method, path) == ("POST", "/reset"):
            self.reset()
            return 200, b"{}"
        if (method, path) == ("POST", "/go"):
            self.hold_at = None
            self.go.set()
            return 200, b"{}"
        return 404, b"{}"

    async def serve(self, reader, writer):
        """Answers the requests of a connection, one after another."""
        try:
            while (message := await read_message(reader)) is not None:
                (method, path, *_), headers, raw = message
                if "x-amz-target" in headers:
                    status, body = await self.answer(headers, raw)
                else:
                    status, body = await self.control(method, path)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\n"
                             f"content-length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (Cut, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free port)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0, help="the share of requests that meet a fault")
    parser.add_argument("--faults", type=lambda text: text.split(","), default=FAULTS, help=",".join(FAULTS))
    parser.add_argument("--index-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--hold-at", type=int, metavar="N", help="hold all writes after this many")
    parser.add_argument("--units", action="store_true", help="count capacity units")
    parser.add_argument("--refuse", metavar="NAME", help="answer all requests with this error")
    parser.add_argument("--keys", type=lambda text: text.split(","), default=["pk", "sk"], help="the table's key attributes")
    given = parser.parse_args()
    if unknown := set(given.faults) - set(FAULTS):
        parser.error(f"there is no fault {min(unknown)!r}")
    proxy = Proxy(given)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", given.port, limit=2**20)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
