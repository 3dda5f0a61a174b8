"""Bodies that no model of the store is: what a request says beside its path. And examples of all."""

from typing import Annotated, Any, Final

from fastapi import Body
from pydantic import AwareDatetime, Field

from lift_store.models import (
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
