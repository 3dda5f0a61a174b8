"""Answers recorded from real PostgREST servers, under the names of the conditions that were made for them.

What the files hold: one entry a condition with its request and its answer, all headers but Date; placeholders stand for tokens. Names that
end in a number are the steps of one sequence. `_meta` and `*_recovery` have no answer; `raw_*` hold the bytes as text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.replay.server import How, Reply

VERSIONS: Final = ("16.2", "14.17")
"""The versions of PostgREST; hosted Supabase runs 14."""
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recorded:
    """One condition: the request and the answer to it, which is How.HANG where PostgREST never answered."""

    name: str
    method: str
    reply: Reply

    @property
    def is_success(self) -> bool:
        """Whether the answer is one, and none of an error."""
        return self.reply.how is How.WHOLE and 200 <= self.reply.status < 300


@cache
def recorded(version: str) -> dict[str, Recorded]:
    """Return what PostgREST *version* answered, by name, in the order of the recording."""
    entries = json.loads((_FOLDER / f"postgrest-{version}.json").read_text())
    return {entry["name"]: _recorded(entry) for entry in entries if "response" in entry}


def _recorded(entry: dict[str, Any]) -> Recorded:
    response = entry["response"]
    if "transport_error" in response:
        reply = Reply(how=How.HANG)
    elif "raw" in response:
        reply = _of_raw(response["raw"])
    else:
        reply = Reply(response["status"], response["reason"], tuple(response["headers"].items()), response["body"].encode())
    return Recorded(entry["name"], entry["request"].get("method", "GET"), reply)


def _of_raw(raw: str) -> Reply:
    head, _, body = raw.partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    _, status, reason = first.split(" ", 2)
    return Reply(
        int(status), reason, tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in headers)), body.encode()
    )
