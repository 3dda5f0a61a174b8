"""Bodies: how their JSON is read, those that no model of the store is, and examples of all."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Body
from pydantic import AwareDatetime, Field

from lift_store.api.problems import (
    DOCUMENTS,
    DUPLICATE_KEY,
    MALFORMED_BODY,
    OUT_OF_RANGE,
    TOO_DEEP,
    UNKNOWN_FIELD,
    WRONG_LENGTH,
    WRONG_TYPE,
    Kind,
    ProblemError,
    field_name,
    refuse,
    shown,
)
from lift_store.models import (
    MAX_CHILDREN,
    MAX_JSON_DEPTH,
    HoleResolution,
    IRDraft,
    JsonObject,
    Model,
    Name,
    NewSession,
    PromptRevision,
    ResolutionType,
    SessionStatus,
    Text,
)

_SAFE_DIGITS: Final = 18
"""Characters of an integer that are within 64 bits whatever they are."""
_SHOWN_DIGITS: Final = 40
_MAX_FIELDS: Final = 16
"""Fields of an object; none of our models has as many."""
_LEVELS: Final = 4
"""Levels of a body that are ours, such as body.ir_drafts.0.ambiguities."""
_NO_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[^"{}\[\]]+', re.DOTALL)
_TYPES: Final = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class _Misfit:
    """Stands in a body, while it is read, for what JSON or its parser allows and we do not."""

    kind: Kind
    message: str
    value: str | None = None


class _Reader:
    """Reads JSON strictly. What it refuses it marks, because the parser does not tell where in the body it is."""

    def __init__(self) -> None:
        self.misfits = 0

    def read(self, text: str) -> Any:
        return json.loads(
            text, parse_int=self._integer, parse_float=self._float, parse_constant=self._constant, object_pairs_hook=self._object
        )

    def _mark(self, kind: Kind, message: str, value: str | None = None) -> _Misfit:
        self.misfits += 1
        return _Misfit(kind, message, value)

    def _integer(self, text: str) -> int | _Misfit:
        if len(text) <= _SAFE_DIGITS:
            return int(text)
        if len(text) > _SHOWN_DIGITS:
            return self._mark(OUT_OF_RANGE, f"an integer of {len(text)} digits, beyond 64 bits")
        value = int(text)
        return value if -(2**63) <= value < 2**63 else self._mark(OUT_OF_RANGE, f"{text}, beyond 64 bits", text)

    def _float(self, text: str) -> float | _Misfit:
        value = float(text)
        return value if math.isfinite(value) else self._mark(OUT_OF_RANGE, f"{shown(text)}, beyond 64 bits", shown(text))

    def _constant(self, text: str) -> _Misfit:
        return self._mark(MALFORMED_BODY, f"{text}, which is no number in JSON", text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Misfit:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        return self._mark(DUPLICATE_KEY, "an object with a key twice", key)


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that *raw* is: in UTF-8, each key once, and no number beyond 64 bits. Else raise a problem."""
    reader = _Reader()
    try:
        body = reader.read(raw.decode())
    except UnicodeDecodeError as error:
        raise refuse(MALFORMED_BODY, "body", f"is not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise refuse(MALFORMED_BODY, "body", f"stops being JSON at character {error.pos + 1}") from None
    except RecursionError:
        message = f"is nested {_depth(raw)} deep; the limit of a document is {MAX_JSON_DEPTH} levels"
        raise refuse(TOO_DEEP, "body", message, limit=MAX_JSON_DEPTH) from None
    if reader.misfits:
        raise _problem(*_first_misfit(body))
    if not isinstance(body, dict):
        raise refuse(WRONG_TYPE, "body", f"is {_TYPES[type(body)]}, not an object")
    _require_few(body, ("body",))
    return body


def _require_few(item: Any, place: tuple[str | int, ...]) -> None:
    """Refuse lists and objects of ours that are far too long before they are validated: an error for each entry takes seconds."""
    if isinstance(item, dict) and len(item) > _MAX_FIELDS:
        raise refuse(UNKNOWN_FIELD, field_name(place), f"has {len(item)} fields; no object has as many", limit=_MAX_FIELDS)
    if isinstance(item, list) and len(item) > MAX_CHILDREN:
        message = f"has {len(item)} entries; it takes at most {MAX_CHILDREN}"
        raise refuse(WRONG_LENGTH, field_name(place), message, limit=MAX_CHILDREN)
    for key, inner in item.items() if isinstance(item, dict) else enumerate(item):
        if isinstance(inner, dict) and key in DOCUMENTS:
            continue
        if isinstance(inner, (dict, list)) and len(place) < _LEVELS:
            _require_few(inner, (*place, key))


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in _NO_BRACKETS.sub(b"", raw):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _first_misfit(body: Any) -> tuple[_Misfit, tuple[str | int, ...]]:
    # iterators, not lists of what waits: a body of 2 MB has a million places
    place: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [iter([("body", body)])]
    while True:
        for key, item in levels[-1]:
            if isinstance(item, _Misfit):
                return item, (*place, key)
            if isinstance(item, (dict, list)):
                place.append(key)
                levels.append(iter(item.items() if isinstance(item, dict) else enumerate(item)))
                break
        else:
            levels.pop()
            place.pop()


def _problem(misfit: _Misfit, place: tuple[str | int, ...]) -> ProblemError:
    field = field_name(place)
    if field != ".".join(map(str, place)) or field.rpartition(".")[2] in DOCUMENTS:
        return refuse(misfit.kind, field, f"holds {misfit.message}", value=None if misfit.kind is DUPLICATE_KEY else misfit.value)
    if misfit.kind is DUPLICATE_KEY:
        return refuse(DUPLICATE_KEY, field_name((*place, misfit.value)), "is there twice")
    return refuse(misfit.kind, field, f"is {misfit.message}", value=misfit.value)


class SessionPatch(Model):
    """What to set: a status, or metadata that replaces the present one, or both."""

    status: SessionStatus | None = None
    metadata: JsonObject | None = None


class HoleAnswer(Model):
    """The answer to the hole that the path names."""

    hole_id: Name | None = Field(None, description="Needless: the path names it. If given, it must be the same.")
    resolution_text: Text
    resolution_type: ResolutionType = ResolutionType.CLARIFY_INTENT
    applied: bool = Field(default=False, description="Whether a draft has taken it in.")
    timestamp: AwareDatetime | None = Field(None, description="When it was given; the store's clock where left out.")
    metadata: JsonObject = Field(default_factory=dict)

    def to(self, hole_id: str) -> HoleResolution:
        """Return it as the resolution of *hole_id*."""
        return HoleResolution.model_validate({**self.model_dump(), "hole_id": hole_id})


def _example(summary: str, value: dict[str, Any]) -> Any:
    return Body(openapi_examples={"example": {"summary": summary, "value": value}})


_PROMPT: Final = "Write a function that returns the median of a list of numbers."

NewSessionBody = Annotated[
    NewSession,
    _example(
        "A session that begins with a prompt",
        {"source": "prompt", "revisions": [{"content": _PROMPT, "revision_type": "initial"}]},
    ),
]
PatchBody = Annotated[SessionPatch, _example("Pause the session", {"status": "paused"})]
RevisionBody = Annotated[
    PromptRevision,
    _example(
        "The prompt, worded anew",
        {"content": f"{_PROMPT} An empty list raises ValueError.", "revision_type": "manual_edit"},
    ),
]
DraftBody = Annotated[
    IRDraft,
    _example(
        "A draft with one hole still open",
        {
            "ir": {"intent": "median", "signature": {"name": "median", "parameters": ["numbers"]}},
            "validation_status": "incomplete",
            "ambiguities": ["empty_list"],
        },
    ),
]
AnswerBody = Annotated[
    HoleAnswer,
    _example("Answer a hole", {"resolution_text": "Raise ValueError.", "resolution_type": "specify_effect"}),
]
