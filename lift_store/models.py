"""Sessions and their history: frozen models, the same in every store, in the API and in exports.

What the store assigns (ids, numbers, times) is None on the way in where the caller leaves it out, and always set on the way out. Any
offset from UTC comes in, UTC goes out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_TEXT: Final = 100_000
"""Characters in a prompt, a revision or the text of a resolution."""
MAX_NAME: Final = 200
"""Characters in a hole's id or an ambiguity."""
MAX_METADATA_BYTES: Final = 16_384
"""Bytes of a metadata object as compact UTF-8 JSON."""
MAX_JSON_BYTES: Final = 1_048_576
"""Bytes of a draft's IR, or of its SMT results, as compact UTF-8 JSON."""
MAX_JSON_DEPTH: Final = 64
"""Levels of nesting in a JSON document."""
MAX_FLOAT: Final = 1e16
"""Floating-point numbers in a JSON document are below it: jsonb gives greater ones back as integers, not always of the same value."""
MAX_CHILDREN: Final = 1_000
"""Entries in one list of a request: ambiguities, SMT results, or a new session's history."""
MAX_LIMIT: Final = 200
"""Sessions on one page."""


class SessionStatus(StrEnum):
    """Where a session stands; finalized and abandoned are final: their history is closed."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINALIZED = "finalized"
    ABANDONED = "abandoned"
    ERROR = "error"

    @property
    def is_closed(self) -> bool:
        """Whether the status can no longer change."""
        return self in (SessionStatus.FINALIZED, SessionStatus.ABANDONED)


class SessionSource(StrEnum):
    """What a session began with."""

    PROMPT = "prompt"
    REVERSE_MODE = "reverse_mode"


class RevisionType(StrEnum):
    """Why a prompt was revised."""

    INITIAL = "initial"
    HOLE_FILL = "hole_fill"
    CONSTRAINT_ADD = "constraint_add"
    MANUAL_EDIT = "manual_edit"


class ValidationStatus(StrEnum):
    """What the solver said of a draft."""

    PENDING = "pending"
    VALID = "valid"
    CONTRADICTORY = "contradictory"
    INCOMPLETE = "incomplete"


class ResolutionType(StrEnum):
    """What the answer to a hole does."""

    CLARIFY_INTENT = "clarify_intent"
    ADD_CONSTRAINT = "add_constraint"
    REFINE_SIGNATURE = "refine_signature"
    SPECIFY_EFFECT = "specify_effect"


NO_NUL: Final = r"^[^\x00]*$"
"""PostgreSQL's text holds any character but NUL (and no lone surrogate, which is no character to pydantic either)."""


def _without_nul(text: str) -> str:
    place = text.find("\0")
    if place >= 0:
        raise PydanticCustomError("nul", "has NUL at character {at}; the database's text holds any other", {"at": place + 1})
    return text


def _text(longest: int) -> Any:
    # the pattern is for the reader of the schema; a pattern's own message would not say where, nor that it is a NUL
    return Field(min_length=1, max_length=longest, json_schema_extra={"pattern": NO_NUL})


# What only looks at a JSON document as a whole - size, depth, numbers - is checked when it is stored, see lift_store.checks: documents
# that come from a store have passed it, and reading them is the more frequent and the more urgent.
JsonObject = dict[str, Any]
"""A JSON object; lift_store.checks has its limits."""
Text = Annotated[str, _text(MAX_TEXT), AfterValidator(_without_nul)]
"""A prompt or an answer."""
Name = Annotated[str, _text(MAX_NAME), AfterValidator(_without_nul)]
"""A hole's id."""


class Model(BaseModel):
    """Immutable; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", hide_input_in_errors=True)


class PromptRevision(Model):
    """One wording of the prompt."""

    timestamp: AwareDatetime | None = Field(None, description="When it was made; the store's clock where left out.")
    content: Text
    revision_type: RevisionType = RevisionType.MANUAL_EDIT
    target_hole: Name | None = Field(None, description="The hole that this wording fills.")
    metadata: JsonObject = {}


class IRDraft(Model):
    """One version of the intermediate representation."""

    version: int | None = Field(None, ge=1, description="Assigned by the store, from 1; leave it out.")
    ir: JsonObject
    validation_status: ValidationStatus = ValidationStatus.PENDING
    # one wrong entry is reported, not all: a thousand drafts may have a thousand each
    smt_results: tuple[JsonObject, ...] = Field((), max_length=MAX_CHILDREN, fail_fast=True)
    ambiguities: tuple[Name, ...] = Field((), max_length=MAX_CHILDREN, fail_fast=True, description="Ids of the holes still open in it.")
    created_at: AwareDatetime | None = Field(None, description="When it was made; the store's clock where left out.")
    metadata: JsonObject = {}


class HoleResolution(Model):
    """The answer to one hole."""

    hole_id: Name
    resolution_text: Text
    resolution_type: ResolutionType = ResolutionType.CLARIFY_INTENT
    applied: bool = Field(default=False, description="Whether a draft has taken it in.")
    timestamp: AwareDatetime | None = Field(None, description="When it was given; the store's clock where left out.")
    metadata: JsonObject = {}


class NewSession(Model):
    """What a session begins with. Its id may be chosen: an id is its owner's own namespace."""

    session_id: UUID | None = Field(None, description="Assigned by the store where left out.")
    source: SessionSource = SessionSource.PROMPT
    revisions: tuple[PromptRevision, ...] = Field((), max_length=MAX_CHILDREN)
    ir_drafts: tuple[IRDraft, ...] = Field((), max_length=MAX_CHILDREN)
    pending_resolutions: tuple[HoleResolution, ...] = Field((), max_length=MAX_CHILDREN)
    metadata: JsonObject = {}


class _Session(Model):
    session_id: UUID
    user_id: UUID
    status: SessionStatus
    source: SessionSource
    metadata: JsonObject
    version: int = Field(ge=1, description="Moves with every write; the compare-and-swap token of update.")
    created_at: AwareDatetime
    updated_at: AwareDatetime
    finalized_at: AwareDatetime | None


class SessionSummary(_Session):
    """A session without its history, with the counts of it."""

    revision_count: int = Field(ge=0)
    draft_count: int = Field(ge=0, description="Also the version of the current draft.")
    resolution_count: int = Field(ge=0)


class PromptSession(_Session):
    """A session with all its history, oldest first."""

    revisions: tuple[PromptRevision, ...]
    ir_drafts: tuple[IRDraft, ...]
    current_draft: IRDraft | None = Field(None, description="The newest of ir_drafts.")
    pending_resolutions: tuple[HoleResolution, ...] = Field(description="Every answer given, in order.")

    @model_validator(mode="after")
    def _point_at_newest_draft(self) -> Self:
        # the store sends each draft once; set past the frozen model while it is still being built
        object.__setattr__(self, "current_draft", self.ir_drafts[-1] if self.ir_drafts else None)
        return self

    @property
    def unresolved_ambiguities(self) -> tuple[str, ...]:
        """Holes of the current draft that no resolution answers; a session that has any cannot be finalized."""
        answered = {resolution.hole_id for resolution in self.pending_resolutions}
        return tuple(hole for hole in self.current_draft.ambiguities if hole not in answered) if self.current_draft else ()


ItemT = TypeVar("ItemT")


class Page(Model, Generic[ItemT]):
    """One page of a list, newest first. Pass `next_cursor` to get the next one; None is the last page."""

    items: tuple[ItemT, ...]
    next_cursor: str | None = None
