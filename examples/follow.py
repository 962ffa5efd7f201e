"""Prints events as they come, over server-sent events, and goes on where it was when the connection fails.

    ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... python3 examples/follow.py 'task.*'
"""
import os, sys, time, urllib.parse, urllib.request

URL, KEY, TYPES = os.environ["ORCHESTRATOR_URL"], os.environ["ORCHESTRATOR_API_KEY"], sys.argv[1]
last = None  # the id of the last event; without one the stream begins with the next event

def follow():
    global last
    headers = {"X-API-Key": KEY, **({"Last-Event-ID": last} if last else {})}
    query = urllib.parse.urlencode({"types": TYPES})
    request = urllib.request.Request(f"{URL}/events/stream?{query}", headers=headers)
    # The gateway sends a heartbeat every 15 s: a silent connection is a dead one.
    with urllib.request.urlopen(request, timeout=60) as stream:
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                last = value
            elif name == "data":
                print(value, flush=True)

while True:
    try:
        follow()
    except OSError as error:
        print(error, file=sys.stderr)
    time.sleep(1)
