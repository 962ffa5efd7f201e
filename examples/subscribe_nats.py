"""Prints events from NATS with a durable consumer, which also hears what happened while it was away. Needs nats-py.

    NATS_URL=nats://127.0.0.1:4222 python3 examples/subscribe_nats.py 'task.>'
"""
import asyncio, os, sys

import nats


async def main():
    client = await nats.connect(os.environ["NATS_URL"])
    # JetStream keeps the place of the consumer of this name; an event that is not acknowledged comes again.
    subject = "orchestrator.events." + sys.argv[1]
    consumer = await client.jetstream().pull_subscribe(subject, durable="example")
    while True:
        try:
            messages = await consumer.fetch(100, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            print(message.data.decode(), flush=True)
            await message.ack()

asyncio.run(main())
