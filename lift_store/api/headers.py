"""The headers that carry versions and operation ids, in and out."""

import re
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Request
from pydantic import TypeAdapter, ValidationError

from lift_store.api.problems import BAD_HEADER, NO_IF_MATCH, ProblemError, refuse, shown

_STRONG_TAG: Final = re.compile(r'"([1-9][0-9]{0,17})"', re.ASCII)
_UUID: Final = TypeAdapter(UUID)
_IF_MATCH_TAKES: Final = 'one ETag as the session\'s last answer gave it, such as "3"'


def etag(version: int) -> str:
    """Return the strong entity tag of a session's version."""
    return f'"{version}"'


def is_current(request: Request, version: int) -> bool:
    """Whether the caller's If-None-Match names *version*; the comparison is weak, as RFC 9110 section 13.1.2 says."""
    if "if-none-match" not in request.headers:  # read here, and not as a parameter: that costs FastAPI a tenth of a request
        return False
    tags = {tag.strip().removeprefix("W/") for tag in _whole(request, "If-None-Match").split(",")}
    return "*" in tags or etag(version) in tags


async def _expected_version(
    request: Request,
    if_match: Annotated[
        str | None,
        Header(description=f"Takes {_IF_MATCH_TAKES}.", examples=['"3"'], json_schema_extra={"pattern": f"^{_STRONG_TAG.pattern}$"}),
    ] = None,
) -> int:
    if if_match is None:
        raise refuse(NO_IF_MATCH, "header.If-Match", f"is missing; it takes {_IF_MATCH_TAKES}")
    sent = _whole(request, "If-Match")
    match = _STRONG_TAG.fullmatch(sent.strip())
    if match is None:
        raise _bad("If-Match", sent, _IF_MATCH_TAKES)
    request.state.guarded = True
    return int(match[1])


async def _operation_id(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A UUID; a repeated request with the same one answers as the first did and stores once.",
            examples=["0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8a11"],
            json_schema_extra={"format": "uuid"},
        ),
    ] = None,
) -> UUID | None:
    if idempotency_key is None:
        return None
    sent = _whole(request, "Idempotency-Key")
    try:
        operation_id = _UUID.validate_python(sent)
    except ValidationError:
        raise _bad("Idempotency-Key", sent, "a UUID, such as 0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8a11") from None
    request.state.idempotency_key = sent
    return operation_id


def _whole(request: Request, name: str) -> str:
    # a header on several lines is one list, RFC 9110 section 5.3; FastAPI takes one of them
    return ", ".join(request.headers.getlist(name))


def _bad(name: str, value: str, takes: str) -> ProblemError:
    return refuse(BAD_HEADER, f"header.{name}", f"is {shown(value)!r}; it takes {takes}", value=shown(value))


ExpectedVersion = Annotated[int, Depends(_expected_version)]
"""The version that If-Match names."""
OperationId = Annotated[UUID | None, Depends(_operation_id)]
"""The Idempotency-Key."""
