"""The decorator on a class of one's own: each call is counted by how it ended, and timed."""

import asyncio

from prometheus_client import CollectorRegistry, generate_latest

from lift_telemetry import Instruments, Kind, Label, Metric, PrometheusSink, Telemetry, observed

OUTCOMES = {asyncio.QueueFull: "full", asyncio.CancelledError: "cancelled"}
CALL = Label("backend", ("memory",)), Label("operation", ("send", "receive"))
OUTCOME, RESULT = Label("outcome", ("ok", *OUTCOMES.values(), "error")), Label("result", ("ok", "error"))
SECONDS = Metric("mail_call_seconds", Kind.HISTOGRAM, "Time of a call, however it ended.", (*CALL, RESULT), (0.001, 0.1, 1.0))
CALLS = Metric("mail_calls_total", Kind.COUNTER, "Calls by how they ended.", (*CALL, OUTCOME))
DENIALS = Metric("mail_denials_total", Kind.COUNTER, "Calls that were denied; a queue denies none.", (CALL[1], Label("kind")))


class MailQueue:
    def __init__(self, telemetry: Telemetry) -> None:
        self.telemetry = telemetry
        self._mails = asyncio.Queue[str](maxsize=1)

    @observed
    async def send(self, mail: str) -> None:
        self._mails.put_nowait(mail)

    @observed
    async def receive(self) -> str:
        return await self._mails.get()


async def main() -> None:
    registry = CollectorRegistry()
    sink = PrometheusSink(Instruments((SECONDS, CALLS, DENIALS), registry), duration=SECONDS, total=CALLS, denials=DENIALS)
    queue = MailQueue(Telemetry("memory", [sink], outcome_of=lambda error: OUTCOMES.get(type(error), "error"), is_failure="error".__eq__))
    await asyncio.gather(queue.send("Dear Ada"), queue.send("Dear Bob"), queue.receive(), return_exceptions=True)
    print(generate_latest(registry).decode())


asyncio.run(main())
