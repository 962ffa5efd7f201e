"""Other people's clients hear every event, go away, and hear what they missed.

Runs `orchestrator dev` over private servers and listens with nats-py (a durable JetStream consumer), redis-py and an
EventSource. Usage: subscribers.py PATH_OF_ORCHESTRATOR. Exits 0 when everything held.
"""

import asyncio
import contextlib
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import nats
import redis
from requests_sse import EventSource

KEY = "a-key-for-this-test-only"
LIMIT = 30.0


def wait_for(what, look):
    """The first true answer of `look`, which is asked for at most 30 s."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        answer = look()
        if answer:
            return answer
        time.sleep(0.02)
    raise SystemExit(f"not within {LIMIT} s: {what}")


def submit(url, first, count):
    """Submits tasks; returns their ids."""
    tasks = [{"type": "faq", "payload": {"n": first + n}} for n in range(count)]
    request = urllib.request.Request(url + "/tasks/batch", json.dumps({"tasks": tasks}).encode(),
                                     {"X-API-Key": KEY, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        return [item["task"]["task_id"] for item in json.load(answer)["results"]]


def event_source(url, after, count):
    """The task ids of the next events, and the last event's id; resumes after `after`."""
    found = []
    options = {"headers": {"X-API-Key": KEY}, "timeout": LIMIT, "latest_event_id": after}
    with EventSource(url + "/events?types=task.created", **options) as source:
        for event in source:
            if event.type == "task.created":
                found.append(json.loads(event.data)["task_id"])
                after = event.last_event_id
            if len(found) == count:
                return found, after


async def nats_consumer(server, count):
    """The task ids of the next messages of one durable consumer; what is acknowledged does not come again."""
    client = await nats.connect(server)
    consumer = await client.jetstream().pull_subscribe("orchestrator.events.task.created", "subscribers")
    found = []
    while len(found) < count:
        for message in await consumer.fetch(count - len(found), timeout=LIMIT):
            assert message.headers["Nats-Msg-Id"] == json.loads(message.data)["event_id"], message
            found.append(json.loads(message.data)["task_id"])
            await message.ack()
    await client.close()
    return found


def redis_subscriber(path):
    channel = redis.Redis(unix_socket_path=path).pubsub(ignore_subscribe_messages=True)
    channel.subscribe("orchestrator:events:task.created")
    # The subscription is there once it is confirmed.
    wait_for("a confirmed subscription", lambda: channel.get_message(timeout=1) is None and channel.subscribed)
    return channel


def hear(channel, count):
    found = []

    def look():
        message = channel.get_message(timeout=0.1)
        if message:
            found.append(json.loads(message["data"])["task_id"])
        return len(found) == count

    wait_for(f"{count} messages of Redis", look)
    return found


def listen(url, server, path):
    channel = redis_subscriber(path)
    before = submit(url, 0, 1)
    # A new EventSource begins at the end of the log; one that has a position is where it was.
    page = urllib.request.Request(url + "/events?limit=1", headers={"X-API-Key": KEY, "Accept": "application/json"})
    with urllib.request.urlopen(page, timeout=LIMIT) as answer:
        first_position = json.load(answer)["next_cursor"]
    ids = submit(url, 1, 5)
    heard, position = event_source(url, first_position, 5)
    assert heard == ids, (heard, ids)
    assert hear(channel, 6) == before + ids
    assert asyncio.run(nats_consumer(server, 6)) == before + ids
    channel.close()

    missed = submit(url, 6, 5)
    assert event_source(url, position, 5)[0] == missed
    assert asyncio.run(nats_consumer(server, 5)) == missed
    channel = redis_subscriber(path)
    later = submit(url, 11, 3)
    # Redis keeps nothing for who is away: it goes on from here.
    assert hear(channel, 3) == later
    channel.close()


def started(stack, command, **options):
    """A child process that does not outlive the test."""
    process = subprocess.Popen(command, **options)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def example(stack, url, server):
    """The subscriber in examples/ prints the first event."""
    script = os.path.join(os.path.dirname(__file__), "../../examples/subscribe_nats.py")
    command = [sys.executable, script, "task.created"]
    environment = {**os.environ, "NATS_URL": server}
    reader = started(stack, command, env=environment, text=True, stdout=subprocess.PIPE)
    submit(url, 100, 1)
    assert json.loads(reader.stdout.readline())["event_type"] == "task.created"


def main(program):
    with tempfile.TemporaryDirectory(prefix="subscribers-") as home, contextlib.ExitStack() as stack:
        config = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", home, "-js", "-sd", home + "/js"]
        started(stack, ["nats-server", *config], stderr=subprocess.DEVNULL)
        files = wait_for("the ports of nats-server", lambda: glob.glob(home + "/nats-server*.ports"))
        server = wait_for("its address", lambda: json.loads(open(files[0]).read() or "{}").get("nats", [None])[0])
        path = home + "/redis.sock"
        store = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", home]
        started(stack, store, stdout=subprocess.DEVNULL)
        wait_for("redis-server", lambda: os.path.exists(path))
        environment = {"PATH": os.environ["PATH"], "REDIS_URL": "unix://" + path, "NATS_URL": server,
                       "ORCHESTRATOR_API_KEY_TEST": KEY + ":admin"}
        with open(home + "/log", "w+") as log:
            fleet = started(stack, [program, "dev", "--port", "0"], env=environment, cwd=home, text=True,
                            stdout=subprocess.PIPE, stderr=log)
            url = re.search(r"API\s+(\S+)", wait_for("its address", lambda: url_line(fleet))).group(1)
            listen(url, server, path)
            example(stack, url, server)
            fleet.terminate()
            assert fleet.wait(LIMIT) == 0, open(home + "/log").read()
    print("nats-py, redis-py and EventSource heard every event, and what they had missed")


def url_line(fleet):
    line = fleet.stdout.readline()
    return line if "API" in line else None


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
