"""The template of the route that a request took: the only name of a path that metrics and logs may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute, iter_route_contexts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

UNMATCHED: Final = "unmatched"


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the template of the route that *scope* matched, `unmatched` if none.

    Right because no router here is included with a prefix: FastAPI keeps the route without the prefixes.
    """
    path = getattr(scope.get("route"), "path_format", None)
    return path if isinstance(path, str) else UNMATCHED


def templates(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield each (method, route template) that *app* serves."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute) and context.path_format:
            for method in sorted(context.methods or ()):
                yield method, context.path_format


def allowed_methods(app: FastAPI) -> dict[str, str]:
    """Return the `Allow` of each template; FastAPI has a route for each method and answers with that of the first."""
    methods: dict[str, list[str]] = {}
    for method, template in templates(app):
        methods.setdefault(template, []).append(method)
    return {template: ", ".join(sorted(names)) for template, names in methods.items()}
