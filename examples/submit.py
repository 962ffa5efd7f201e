"""Submits a task and waits for its result. If the network fails, it sends again: the key makes it one task.

    ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... python3 examples/submit.py faq '{"question": "why?"}'
"""
import json, os, sys, time, urllib.error, urllib.request, uuid

URL, KEY = os.environ["ORCHESTRATOR_URL"], os.environ["ORCHESTRATOR_API_KEY"]

def call(path, body=None, **more):
    headers = {"X-API-Key": KEY, "Content-Type": "application/json", **more}
    request = urllib.request.Request(URL + path, body and json.dumps(body).encode(), headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            if refusal.code not in (408, 429, 503):
                problem = json.load(refusal)
                faults = [f"{fault['pointer']} {fault['detail']}" for fault in problem.get("errors", [])]
                sys.exit("\n".join([problem["detail"], *faults]))
        except OSError as error:
            print(error, file=sys.stderr)
        time.sleep(1)

submission = {"type": sys.argv[1], "payload": json.loads(sys.argv[2])}
task = call("/tasks", submission, **{"Idempotency-Key": str(uuid.uuid4())})
while task["completed_at"] is None:
    task = call(f"/tasks/{task['task_id']}?wait_ms=60000")
print(json.dumps({"status": task["status"], "result": task["result"], "error": task["error"]}))
sys.exit(task["status"] != "completed")
