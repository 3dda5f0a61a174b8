"""The headers that carry versions and operation ids, in and out."""

import re
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Request

from lift_store.api.problems import BAD_HEADER, NO_IF_MATCH, ProblemError
from lift_store.principal import Principal

_STRONG_TAG: Final = re.compile(r'"([1-9][0-9]{0,17})"', re.ASCII)
_SHOWN: Final = 100
_IF_MATCH_TAKES: Final = 'one ETag as the session\'s last answer gave it, such as "3"'


def etag(version: int) -> str:
    """Return the strong entity tag of a session's version."""
    return f'"{version}"'


def is_current(if_none_match: str | None, version: int) -> bool:
    """Whether the caller's If-None-Match names *version*; the comparison is weak, as RFC 9110 section 13.1.2 says."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return "*" in tags or etag(version) in tags


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _expected_version(
    request: Request,
    if_match: Annotated[str | None, Header(description=f"Takes {_IF_MATCH_TAKES}.", examples=['"3"'])] = None,
) -> int:
    if if_match is None:
        raise ProblemError(NO_IF_MATCH, f"If-Match is missing: it takes {_IF_MATCH_TAKES}.")
    match = _STRONG_TAG.fullmatch(if_match.strip())
    if match is None:
        raise _bad("If-Match", if_match, _IF_MATCH_TAKES)
    request.state.guarded = True
    return int(match[1])


async def _operation_id(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A UUID; a repeated request with the same one answers as the first did and stores once.",
            examples=["0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8a11"],
        ),
    ] = None,
) -> UUID | None:
    try:
        return UUID(idempotency_key) if idempotency_key is not None else None
    except ValueError:
        takes = "a UUID, such as 0b7b6c1e-9a55-4c83-8f0e-5f2a4f0a8a11"
        raise _bad("Idempotency-Key", idempotency_key or "", takes) from None


def _bad(name: str, value: str, takes: str) -> ProblemError:
    shown = value[:_SHOWN]
    members = {"header": name, "value": shown}
    return ProblemError(BAD_HEADER, f"{name} is {shown!r}: it takes {takes}.", members=members)


Caller = Annotated[Principal, Depends(_caller)]
"""The verified caller."""
ExpectedVersion = Annotated[int, Depends(_expected_version)]
"""The version that If-Match names."""
OperationId = Annotated[UUID | None, Depends(_operation_id)]
"""The Idempotency-Key."""
