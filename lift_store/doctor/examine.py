"""All checks, in the order in which to mend what they find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias

import psycopg

from lift_store.doctor import functions, login, pool, same, schema, server, tables, tokens
from lift_store.doctor.connection import looking
from lift_store.doctor.finding import Finding, Report, fail, ok, skip
from lift_store.doctor.subject import LIMIT, OPERATOR, USER, Login, Look, Subject, UnknownError, reach
from lift_store.doctor.timeouts import timeouts
from lift_store.settings import Settings, SettingsError

Check: TypeAlias = Callable[[str, Subject], Awaitable[list[Finding]]]
"""Takes the check's name, and returns at least one finding; UnknownError where it cannot be made."""


def _through(by: Login, check: Callable[[Look], Awaitable[list[Finding]]]) -> Check:
    """Make *check* on the connection of one login."""

    async def made(name: str, subject: Subject) -> list[Finding]:
        connection = subject.reached[by].use()
        async with looking(connection, LIMIT):
            return await check(Look(name, by, subject.settings, connection))

    return made


def _connection(by: Login) -> Check:
    async def made(name: str, subject: Subject) -> list[Finding]:
        reached = subject.reached[by]
        if reached.refusal or reached.target is None:
            return [reached.refusal] if reached.refusal else []
        target = reached.target
        return await _through(by, lambda look: server.connection(look, target))(name, subject)

    return made


def _on_settings(check: Callable[[str, Settings], Awaitable[list[Finding]]]) -> Check:
    async def made(name: str, subject: Subject) -> list[Finding]:
        async with asyncio.timeout(2 * LIMIT):
            return await check(name, subject.settings)

    return made


async def _configuration(name: str, settings: Settings) -> list[Finding]:
    return [ok(name, f"complete and free of contradictions; the backend is {settings.backend}")]


async def _same_database(name: str, subject: Subject) -> list[Finding]:
    users = subject.reached[USER].use()
    return await _through(OPERATOR, lambda look: same.database(look, users))(name, subject)


CHECKS: Final[Mapping[str, Check]] = {
    "configuration": _on_settings(_configuration),
    "user.connection": _connection(USER),
    "version": _through(USER, server.version),
    "clock": _through(USER, server.time_of_day),
    "writing": _through(USER, server.writing),
    "user.attributes": _through(USER, login.attributes),
    "user.membership": _through(USER, login.membership),
    "user.timeouts": _through(USER, timeouts),
    "pool": _through(USER, pool.size),
    "prepared_statements": _through(USER, pool.prepared),
    "migrations": _through(USER, schema.migrations),
    "schema": _through(USER, schema.drift),
    "functions": _through(USER, functions.operations),
    "strangers": _through(USER, functions.strangers),
    "row_security": _through(USER, tables.row_security),
    "operator.connection": _connection(OPERATOR),
    "operator.database": _same_database,
    "operator.attributes": _through(OPERATOR, login.attributes),
    "operator.membership": _through(OPERATOR, login.membership),
    "operator.timeouts": _through(OPERATOR, timeouts),
    "token.keys": _on_settings(tokens.keys),
    "token.claims": _on_settings(tokens.claims),
}


async def examine(**overrides: Any) -> Report:
    """Make every check on what the environment configures; *overrides* are those of `Settings.load`. Looks only."""
    try:
        settings = Settings.load(**overrides)
    except SettingsError as error:
        mend = "correct the variable, see docs/CONFIGURATION.md; nothing else was checked"
        return Report((fail("configuration", str(error), mend),))
    async with AsyncExitStack() as stack:
        subject = Subject(settings, {by: await reach(by, settings, stack) for by in (USER, OPERATOR)})
        return Report(tuple([finding for name, check in CHECKS.items() for finding in await _made(name, check, subject)]))


async def _made(name: str, check: Check, subject: Subject) -> list[Finding]:
    try:
        return await check(name, subject)
    except UnknownError as reason:
        return [skip(name, str(reason))]
    except (TimeoutError, psycopg.errors.QueryCanceled):
        return [fail(name, "no answer in time", "look for locks on the catalogue and for a server under too much load")]
    except psycopg.OperationalError as error:
        return [fail(name, f"the connection was lost: {type(error).__name__}", "look into the server's log, and run this again")]
    except Exception as error:  # noqa: BLE001 - one broken check must not hide what the others find; its text may hold a secret
        return [fail(name, f"the check itself broke: {type(error).__name__}", "report this as a bug of lift-store")]
