"""Structured logs: one form for our lines and those of the libraries, as JSON or for people."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache, partial
from json import JSONEncoder
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET: Final = re.compile(
    r"(^|[_-]|(?<=[a-z])(?=[A-Z]))(?i:token|password|secret|authorization|cookie|key|apikey|jwt|prompt|content|ir|dsn|conninfo)$"
)
"""How names of values end that no log line may hold, in api_key, x-api-key and apiKey: credentials, and what users wrote."""


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace values whose name says that they are a secret or a user's content, in mappings within the line too."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


@lru_cache(1024)  # there are few names, and each line has half a dozen
def _is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def _redacted(name: object, value: object) -> object:
    if _is_secret(str(name)):
        return "[redacted]"
    return {inner: _redacted(inner, held) for inner, held in value.items()} if isinstance(value, Mapping) else value


class _Named(structlog.WriteLogger):
    """Writes lines of ours to *out*; the standard library's logger would make a record of each first, at twice the cost."""

    def __init__(self, out: TextIO, name: str) -> None:
        super().__init__(out)
        self.name = name


_ENCODER: Final = JSONEncoder(default=repr)  # made once: to make one costs as much as the line


def _to_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return _ENCODER.encode(event)


def _processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]


def configure_logging(*, json: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every logger's lines, structlog's and the standard library's, to *stream* (default stderr) in one form.

    *json*: one JSON object a line; else columns for a terminal. Calling it again replaces the earlier configuration.
    """
    out = stream or sys.stderr
    # the default, where rich is installed, prints every local variable beside a traceback: passwords, prompts, tokens
    console = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    renderer: Processor = _to_json if json else console
    rendering: list[Processor] = [structlog.processors.format_exc_info, renderer] if json else [renderer]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_processors()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    structlog.configure(
        processors=[*_processors(), *rendering],
        logger_factory=partial(_Named, out),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,  # so that a later configuration reaches loggers made before it
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # uvicorn tells of its life, which we do; httpx logs every URL, ids and all; httpcore every step of every connection
    for name in ("uvicorn.error", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
