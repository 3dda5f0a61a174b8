"""The refinement workflow over any store: from a prompt to a finalized session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from lift_store.models import (
    HoleResolution,
    IRDraft,
    NewSession,
    PromptRevision,
    RevisionType,
    SessionSource,
    SessionStatus,
    SessionSummary,
)
from lift_store.principal import Principal
from lift_store.protocol import SessionStore

Translator = Callable[[str], Awaitable[IRDraft]]
"""Makes the first draft of a prompt: a language model, a parser, or a stand-in."""


class SpecSessionManager:
    """Takes sessions through their life. Each method is one operation of the store, and raises what that operation raises.

    *translator* makes the first draft of a prompt; without one, a session begins with the prompt alone.
    """

    def __init__(self, store: SessionStore, *, translator: Translator | None = None) -> None:
        self._store = store
        self._translator = translator

    async def create_from_prompt(
        self,
        principal: Principal,
        prompt: str,
        *,
        source: SessionSource = SessionSource.PROMPT,
        metadata: Mapping[str, Any] | None = None,
        session_id: UUID | None = None,
        operation_id: UUID | None = None,
    ) -> SessionSummary:
        """Begin a session with *prompt* as its first revision, and its translation as the first draft.

        What the translator raises is passed on, and nothing is stored. pydantic.ValidationError where the prompt breaks a limit.
        """
        revision = PromptRevision(content=prompt, revision_type=RevisionType.INITIAL)
        drafts = (await self._translator(prompt),) if self._translator else ()
        new = NewSession(session_id=session_id, source=source, revisions=(revision,), ir_drafts=drafts, metadata=dict(metadata or {}))
        return await self._store.as_user(principal).create(new, operation_id=operation_id)

    async def add_draft(
        self, principal: Principal, session_id: UUID, draft: IRDraft, *, operation_id: UUID | None = None
    ) -> SessionSummary:
        """Append the next version of the IR."""
        return await self._store.as_user(principal).add_draft(session_id, draft, operation_id=operation_id)

    async def resolve_hole(
        self, principal: Principal, session_id: UUID, resolution: HoleResolution, *, operation_id: UUID | None = None
    ) -> SessionSummary:
        """Record the answer to a hole."""
        return await self._store.as_user(principal).add_resolution(session_id, resolution, operation_id=operation_id)

    async def finalize(self, principal: Principal, session_id: UUID, version: int, *, operation_id: UUID | None = None) -> SessionSummary:
        """Finalize the session if it is still at *version* and no ambiguity of its current draft is unresolved."""
        return await self._close(principal, session_id, version, SessionStatus.FINALIZED, operation_id)

    async def abandon(self, principal: Principal, session_id: UUID, version: int, *, operation_id: UUID | None = None) -> SessionSummary:
        """Abandon the session if it is still at *version*."""
        return await self._close(principal, session_id, version, SessionStatus.ABANDONED, operation_id)

    async def _close(
        self, principal: Principal, session_id: UUID, version: int, status: SessionStatus, operation_id: UUID | None
    ) -> SessionSummary:
        sessions = self._store.as_user(principal)
        return await sessions.update(session_id, version=version, status=status, operation_id=operation_id)
