"""Writes docs/SUPABASE_ERRORS.md: what each answer of Supabase and each exception means, from the code and from recorded answers.

python -m docs.supabase_errors
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import aiohttp
import httpx

from lift_store.classify import BY_HINT, BY_STATE
from lift_store.errors import StoreError
from lift_store.supabase.classify import BY_CODE, BY_EXCEPTION, BY_STATUS, Answer, failure, refusal
from tests.replay.recorded import VERSIONS, Recorded, recorded
from tests.replay.server import How

PAGE: Final = Path(__file__).with_name("SUPABASE_ERRORS.md")
_ROOTS: Final = (aiohttp.ClientError, httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
_HEAD: Final = """\
# What Supabase's answers mean

Made by `python -m docs.supabase_errors` from `lift_store/supabase/classify.py`; a test compares. The outcomes are the values of the label
`outcome`. SQLSTATEs mean the same in `PostgresSessionStore`.

An answer is PostgREST's own where its header Proxy-Status says so, or where its body is a JSON object with code, message, details and hint;
Supabase Lite sends no Proxy-Status. Whatever else answers is a gateway, whose body is not read. Our errors hold no text of a server's, but
for the refusals of our own functions (PTnnn with a hint of ours): those are written for the caller.

A token that PostgREST calls expired (PGRST303) is `unauthenticated` where it has expired by our own clock too, and `internal` where not.
`retry_after` is the server's Retry-After, but at least 1 s: PostgREST says 0, whatever the fault.
"""


_OF_STATES: Final = """
Any other is `internal`, with its code in the message; so is a 22023 that says that a role does not exist. 42501 is `denied` where row-level
security refused aloud; a missing grant is `internal`, and so is all that is said to anon.
"""
_OF_EXCEPTIONS: Final = """\
The exception itself, or one that caused it; a subclass that is not here is what its base is. Any other is `internal`.
"""
_OF_ANSWERS: Final = """\
Every refusal that a real PostgREST gave, by the names in `tests/replay/postgrest-*.json`; a last number is the step of a sequence. The last
column is empty where the older one answered alike; "success" is an answer that is no refusal.
"""


def page() -> str:
    """Return the page."""
    titles = ("error", "outcome", "message")
    codes = (_row(code or "(empty)", row) for code, row in sorted(BY_CODE.items()))
    hints = ((hint, *_kind(make("", None))) for hint, make in sorted(BY_HINT.items()))
    statuses = (_row(_status(status), row) for status, row in sorted(BY_STATUS.items()))
    parts: tuple[Iterable[str], ...] = (
        (_HEAD, "## Codes of PostgREST\n"),
        _table(("code", *titles), codes),
        ("\nA code that is not here counts as its first six characters, else as PGRST.\n\n## SQLSTATEs\n",),
        _table(("SQLSTATE", *titles), sorted(_states())),
        (_OF_STATES, "## Refusals of our own functions, by hint\n"),
        _table(("hint", *titles[:2]), hints),
        ("\n## Answers of gateways, by HTTP status\n",),
        _table(("status", *titles), statuses),
        ("\n## Exceptions\n", _OF_EXCEPTIONS),
        _table(("exception", *titles), _exceptions()),
        ("\n## Recorded answers\n", _OF_ANSWERS),
        _table(("condition", *(f"PostgREST {version}" for version in VERSIONS)), _conditions()),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield from (f"| {' | '.join(row)} |" for row in (titles, ("---",) * len(titles), *rows))


def _row(key: str, row: tuple[type[StoreError], str]) -> tuple[str, ...]:
    kind, text = row
    return key, kind.__name__, kind.outcome, text


def _kind(error: StoreError) -> tuple[str, str]:
    return type(error).__name__, error.outcome


def _states() -> Iterator[tuple[str, ...]]:
    for key, make in BY_STATE.items():
        state = key.ljust(5, "n")  # a class: 22nnn
        yield state, *_kind(make(state)), str(make(state)).replace(f" (SQLSTATE {state})", "")


def _status(status: int) -> str:
    return {0: "any other"}.get(status) or (f"other {status}xx" if status < 10 else str(status))  # noqa: PLR2004 - a first digit


def _subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for each in base.__subclasses__():
        yield from _subclasses(each)


def _exceptions() -> list[tuple[str, ...]]:
    """Every class of the two clients, and what else the table names."""
    clients = {each for root in _ROOTS for each in _subclasses(root) if _package(each) in {"aiohttp", "httpx"}}
    named = {each for classes, _, _ in BY_EXCEPTION for each in classes}
    rows = ((each, failure(each.__new__(each))) for each in clients | named)
    return sorted((_name(each), *_kind(error), str(error).removesuffix(f" with {each.__name__}")) for each, error in rows)


def _name(each: type[Exception]) -> str:
    return each.__name__ if _package(each) == "builtins" else f"{_package(each)}.{each.__name__}"


def _package(each: type[Exception]) -> str:
    return each.__module__.split(".")[0]


def _conditions() -> Iterator[tuple[str, ...]]:
    """Give the conditions in their order; steps that ended alike share a row."""
    newer, older = (recorded(version) for version in VERSIONS)
    rows = [(name, _meaning(newer.get(name)), _meaning(older.get(name))) for name in newer | older]
    for (name, *cells), steps in groupby(rows, lambda row: (re.sub(r"_\d+$", "", row[0]), *row[1:])):
        first, *_, last = names = [row[0] for row in steps] * 2
        if set(cells) - {"success", "not recorded"}:
            label = first if len(names) == 2 else f"{first} to {last.removeprefix(name + '_')}"  # noqa: PLR2004 - one, doubled
            yield label, cells[0], "" if cells[0] == cells[1] else cells[1]


def _meaning(condition: Recorded | None) -> str:
    if condition is None:
        return "not recorded"
    if condition.is_success:
        return "success"
    reply = condition.reply
    if reply.how is How.HANG:
        return f"no answer: {failure(httpx.ReadTimeout('')).outcome}"
    answer = Answer.of(reply.status, dict(reply.headers), reply.body)
    error = refusal(answer, token_expired=condition.name.startswith("jwt_expired"))
    return f"{reply.status} {answer.code or '(no code)'}: {', '.join(_kind(error))}"


if __name__ == "__main__":
    PAGE.write_text(page())
