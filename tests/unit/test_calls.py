"""What a database answers is checked before it is passed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from lift_store import InternalError, NewSession
from lift_store.calls import CalledSessions
from lift_store.observability import observe_on
from lift_store.protocol import Backend, Operation
from tests.principals import somebody


class Answering(CalledSessions):
    """Sessions whose database answers anything with *text*."""

    def __init__(self, text: str | None) -> None:
        super().__init__(observe_on(CollectorRegistry(), Backend.POSTGRES).telemetry, somebody())
        self.text = text

    async def _call(self, operation: Operation, arguments: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - the same to all
        return self.text


@pytest.mark.parametrize("text", ["<html>", '{"secret": 1}', "[]"])
async def test_an_answer_of_another_kind_is_our_own_failure(text: str) -> None:
    """Named by its operation; what it said is not repeated."""
    with pytest.raises(InternalError, match="the answer to get is none of the database's functions") as caught:
        await Answering(text).get(uuid4())
    assert "secret" not in str(caught.value)


async def test_a_write_without_an_answer_is_our_own_failure() -> None:
    """It may have been stored, so it is not said to be missing."""
    with pytest.raises(InternalError, match="the answer to create is empty"):
        await Answering(None).create(NewSession())
