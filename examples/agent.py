"""An agent in Python, with nothing but the standard library: claims tasks, works, keeps the lease, reports.

    ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... python3 examples/agent.py faq_agent
"""
import json, os, sys, threading, time, urllib.error, urllib.request

URL, KEY, AGENT = os.environ["ORCHESTRATOR_URL"], os.environ["ORCHESTRATOR_API_KEY"], sys.argv[1]

def call(path, body):
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)

def work(task):
    return {"answer": f"{task['type']} task done", "payload": task["payload"]}

def attempt(task, attempt, lease):
    path, held, done = f"/tasks/{task['task_id']}", {"attempt": attempt, "lease": lease}, threading.Event()

    def beat():
        while not done.wait(10):  # a third of the lease, 30 s
            call(f"{path}/heartbeat", held)

    threading.Thread(target=beat, daemon=True).start()
    try:
        report = "complete", {**held, "result": work(task)}
    except Exception as error:
        report = "fail", {**held, "error": repr(error)}
    done.set()
    call(f"{path}/{report[0]}", report[1])

while True:
    try:
        claim = {"worker": f"py-{os.getpid()}", "max": 1, "wait_ms": 30_000}
        for given in call(f"/agents/{AGENT}/claim", claim)["tasks"]:
            attempt(given["task"], given["attempt"], given["lease"])
    except (urllib.error.URLError, OSError) as error:  # refused, or the gateway is away
        print(error, file=sys.stderr)
        time.sleep(1)
