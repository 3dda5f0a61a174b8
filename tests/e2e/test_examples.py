"""The examples run as a newcomer would run them, and stay short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from lift_store import PostgresSessionStore, Principal
from lift_store.local.process import free_port
from lift_store.local.token import mint
from lift_store.observability import Observability
from tests.integration.local.test_postgres import processes_in
from tests.servers import Database

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SECRET = "a-secret-of-this-test-that-nobody-else-uses"  # noqa: S105 - of a test
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
SESSION = {"revisions": [{"content": "Sort a list of numbers.", "revision_type": "initial"}]}


def run(example: str, **environment: str) -> str:
    """Run an example to its end, with nothing of our environment but what is given; return what it prints."""
    command = [sys.executable, f"examples/{example}"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT | environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@contextmanager
def serve(application: str, **environment: str) -> Iterator[httpx.Client]:
    """Run an application under uvicorn until the block ends, then press Ctrl-C; it must end well."""
    port = free_port()
    command = [f"{Path(sys.executable).parent}/uvicorn", "--app-dir", "examples", application, "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=ENVIRONMENT | environment)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
                await_answer(client, process)
                yield client
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
            log.seek(0)
            printed = log.read()
    assert process.returncode == 0, printed


def await_answer(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """Wait until it listens."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/metrics")
        except httpx.TransportError:
            time.sleep(0.05)  # until it listens
        else:
            return
    pytest.fail("it does not answer")


def begin(client: httpx.Client, token: str | None) -> httpx.Response:
    """Ask the application of the example for a new session."""
    return client.post("/refinements", json=SESSION, headers={"Authorization": f"Bearer {token}"} if token else {})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_in_the_readme(example: Path) -> None:
    """Under 40 lines, all told."""
    assert len(example.read_text().splitlines()) < 40
    assert f"(examples/{example.name})" in (ROOT / "README.md").read_text()


def test_the_whole_application_takes_a_session_through_its_life() -> None:
    """Each of its writes is counted; nothing of it stays, neither a process nor a file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the database's account must pass
        printed = run("whole_app.py", TMPDIR=folder).splitlines()
        assert list(Path(folder).iterdir()) == []
        assert processes_in(Path(folder)) == []
    assert printed[0] == "The session is finalized"
    assert [line for line in printed[1:] if not line.startswith("#")] == [
        f'lift_store_operations_total{{backend="postgres",operation="{operation}",outcome="ok"}} 1.0'
        for operation in ("create", "update", "add_revision", "add_draft")
    ]


async def test_ones_own_application_stores_for_those_who_prove_who_they_are(database: Database, observability: Observability) -> None:
    """And refuses others; what it did is in its metrics, and in the database under that user."""
    user = uuid4()
    with serve("own_fastapi_app:app", DATABASE_URL=database.app, SUPABASE_JWT_SECRET=SECRET) as client:
        for refused in (None, "junk", mint("x" * 40, user)):
            assert begin(client, refused).status_code == 401
        created = begin(client, mint(SECRET, user))
        assert (created.status_code, created.json()["user_id"]) == (201, str(user))
        metrics = client.get("/metrics").text
    assert 'lift_store_operations_total{backend="postgres",operation="create",outcome="ok"} 1.0' in metrics
    assert await stored(database, observability, user) == [created.json()["session_id"]]


async def stored(database: Database, observability: Observability, user: UUID) -> list[Any]:
    """Return the sessions of *user* as a store of our own finds them."""
    async with PostgresSessionStore(database.app, observability=observability) as store:
        page = await store.as_user(Principal(user)).list_all()
    return [str(session.session_id) for session in page.items]


def test_ones_own_class_counts_each_call_by_how_it_ended() -> None:
    """Two mails for a queue of one: the second finds it full."""
    printed = run("own_class.py").splitlines()
    counted = dict(line.rsplit(" ", 1) for line in printed if line.startswith("mail_calls_total"))
    happened = {series: float(value) for series, value in counted.items() if float(value)}
    assert happened == {
        f'mail_calls_total{{backend="memory",operation="{operation}",outcome="{outcome}"}}': 1.0
        for operation, outcome in (("send", "ok"), ("send", "full"), ("receive", "ok"))
    }
    assert len(counted) == 8  # each outcome of each operation is there from the start
    assert 'mail_call_seconds_count{backend="memory",operation="send",result="error"} 1.0' in printed
