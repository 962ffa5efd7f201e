"""Signs a request over NATS, so that its API key does not travel. Prints the header Orchestrator-Signature.

    CALLER=key:dev_worker KEY=orc_... python3 examples/sign_nats.py orchestrator.tasks.get _INBOX.dev_worker.1 '{"task_id": "..."}'
"""
import hashlib, hmac, os, secrets, sys, time


def signature(caller, key, subject, reply, body, idempotency_key=""):
    moment, nonce = int(time.time() * 1000), secrets.token_hex(16)
    text = f"{subject} {reply} {hashlib.sha256(body).hexdigest()} {moment} {nonce} {idempotency_key}"
    mac = hmac.new(hashlib.sha256(key.encode()).digest(), text.encode(), hashlib.sha256)
    return f"{caller} {moment} {nonce} {mac.hexdigest()}"


if __name__ == "__main__":
    subject, reply, body = sys.argv[1:4]
    print(signature(os.environ["CALLER"], os.environ["KEY"], subject, reply, body.encode()))
