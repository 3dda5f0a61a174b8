"""`lift-store up` as a newcomer meets it: one command, the lines that it prints, load, metrics, Ctrl-C, and again."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import pytest

from lift_store.local.process import free_port
from lift_store.local.supabase import install
from lift_store.local.token import mint
from lift_store.protocol import Operation
from tests.integration.local.test_postgres import processes_in
from tests.supabase import PROGRAMS

PROGRAM = Path(sys.executable).parent / "lift-store"
P95 = "histogram_quantile(0.95, sum by (le, operation) (rate(lift_store_operation_duration_seconds_bucket[1m])))"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data directory that the server's account can reach."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made) / "data"


class Up:
    """A running `up`, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int], printed: str) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{ports['--port']}"
        self.operator = f"http://127.0.0.1:{ports['--operator-port']}"
        self.prometheus = f"http://127.0.0.1:{ports['--prometheus-port']}"
        self.printed = printed


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[Up]:
    """Run `up` with *arguments* until the block ends, then press Ctrl-C."""
    ports = {option: free_port() for option in ("--port", "--operator-port", "--prometheus-port", "--supabase-port")}
    options = [*arguments, *(part for option, port in ports.items() for part in (option, str(port)))]
    log = folder.with_suffix(".log")  # a file, since a pipe that nobody empties would block the service
    with log.open("a") as errors:
        process = subprocess.Popen(
            [PROGRAM, "up", "--data-dir", folder, *options], stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    assert process.stdout is not None
    printed = ""
    while "the data stays" not in printed:
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"up ended: {log.read_text()[-2000:]}")
        printed += line
    try:
        yield Up(process, ports, printed)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole group
        process.communicate(timeout=60)


def fetch(url: str, **headers: str) -> Any:
    """GET *url* and parse its JSON."""
    with urlopen(Request(url, headers=headers), timeout=10) as answer:  # noqa: S310 - our own loopback service
        return json.load(answer)


def query(running: Up, promql: str) -> dict[str, float]:
    """Ask Prometheus; return values by operation."""
    result = fetch(f"{running.prometheus}/api/v1/query?{urlencode({'query': promql})}")["data"]["result"]
    return {row["metric"].get("operation", ""): float(row["value"][1]) for row in result}


def await_answer(running: Up, promql: str, enough: Callable[[dict[str, float]], bool]) -> None:
    """Wait for the scrapes, which come every five seconds, until Prometheus answers *promql* as expected."""
    for _ in range(150):
        answer = query(running, promql)
        if enough(answer):
            return
        time.sleep(0.2)  # until the next scrape
    pytest.fail(f"Prometheus answers {answer}")


def test_a_newcomers_first_minutes(folder: Path) -> None:
    """Everything that `up` prints is true; load runs without a failure; nothing is left running; a restart has every session."""
    secret_user = UUID("00000000-0000-4000-8000-000000000001")
    with up(folder) as running:
        curl = next(line for line in running.printed.splitlines() if line.startswith("curl "))
        bearer = bearer_of(curl)
        if shutil.which("curl"):
            created = json.loads(subprocess.run(["/bin/bash", "-c", curl], check=True, capture_output=True, text=True).stdout)
            assert created["user_id"] == str(secret_user)
        fixed = urlopen(f"{running.operator}/metrics", timeout=10).read().decode()  # noqa: S310 - as above
        assert 'lift_store_operations_total{backend="postgres",operation="delete",outcome="timeout"} 0.0' in fixed
        if shutil.which("prometheus"):
            await_answer(running, "up", lambda found: found == {"": 1.0})  # the zeros must be seen, or the first events are no increase
        pasted = next(line for line in running.printed.splitlines() if " loadgen " in line)
        load = [*shlex.split(pasted.replace("30s", "8s")), "--json"]
        report = json.loads(subprocess.run(load, check=True, capture_output=True, text=True, timeout=100).stdout)
        assert {row["operation"] for row in report["rows"]} == set(Operation)
        assert report["reasons"] == {}
        if shutil.which("prometheus"):
            await_answer(running, P95, lambda found: found.keys() == set(Operation) and not any(map(math.isnan, found.values())))
            checked = subprocess.run(
                [shutil.which("promtool") or "promtool", "check", "metrics"], input=fixed, capture_output=True, text=True, check=False
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        before = fetch(f"{running.url}/api/sessions?limit=200", **bearer)
        kept = [fetch(f"{running.url}/api/sessions/{item['session_id']}", **bearer) for item in before["items"]]
    assert running.process.returncode == 0
    assert processes_in(folder) == []
    started = time.monotonic()
    with up(folder) as running:
        assert time.monotonic() - started < 20
        for session in kept:
            assert fetch(f"{running.url}/api/sessions/{session['session_id']}", **bearer) == session
        assert fetch(f"{running.url}/api/sessions?limit=200", **bearer) == before
        refused = subprocess.run(
            [PROGRAM, "up", "--data-dir", folder, "--port", str(free_port()), "--operator-port", str(free_port()), "--no-prometheus"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "is in use by process" in refused.stderr
        stranger = mint("x" * 40, uuid4())
        with pytest.raises(HTTPError, match="401"):
            fetch(f"{running.url}/api/sessions", Authorization=f"Bearer {stranger}")
    assert processes_in(folder) == []


def bearer_of(curl: str) -> dict[str, str]:
    """Return the header that has the printed token."""
    token = re.search(r"Bearer (\S+)'", curl)
    assert token is not None
    return {"Authorization": f"Bearer {token[1]}"}


def test_the_same_minutes_on_supabase() -> None:
    """With --supabase: the printed lines work, load runs without a failure, nothing is left, and `up` without it shows the sessions."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "data"
        folder.parent.chmod(0o711)
        folder.mkdir(mode=0o711)
        install(PROGRAMS)
        (folder / "supabase-lite").symlink_to(PROGRAMS)  # what it would install there, again
        with up(folder, "--supabase", "--no-prometheus") as running:
            curl = next(line for line in running.printed.splitlines() if line.startswith("curl "))
            bearer = bearer_of(curl)
            created = json.loads(subprocess.run(["/bin/bash", "-c", curl], check=True, capture_output=True, text=True).stdout)
            shown = re.search(r"Supabase +(http://\S+/rest/v1) +\(publishable key: (\S+)\)", running.printed)
            assert shown is not None
            listed = f"{shown[1]}/rpc/session_list_active"
            request = Request(listed, b"{}", {"apikey": shown[2], "Content-Type": "application/json", **bearer})  # noqa: S310 - loopback
            with urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
                assert [item["session_id"] for item in json.load(answer)["items"]] == [created["session_id"]]
            pasted = next(line for line in running.printed.splitlines() if " loadgen " in line)
            load = [*shlex.split(pasted.replace("30s", "5s")), "--json"]
            report = json.loads(subprocess.run(load, check=True, capture_output=True, text=True, timeout=100).stdout)
            assert ({row["operation"] for row in report["rows"]}, report["reasons"]) == (set(Operation), {})
            metrics = urlopen(f"{running.operator}/metrics", timeout=10).read().decode()  # noqa: S310 - as above
            assert re.search(r'lift_store_operations_total\{backend="supabase",operation="create",outcome="ok"\} [1-9]', metrics)
            kept = fetch(f"{running.url}/api/sessions/{created['session_id']}", **bearer)
        assert running.process.returncode == 0
        assert processes_in(folder) == []
        with up(folder, "--no-prometheus") as running:
            assert fetch(f"{running.url}/api/sessions/{created['session_id']}", **bearer) == kept
        assert processes_in(folder) == []


def test_a_killed_up_leaves_no_process(folder: Path) -> None:
    """Kill -9, which nothing can clean up after: the database and Prometheus end by themselves."""
    with up(folder) as running:
        running.process.kill()
        running.process.wait()
        for _ in range(200):
            if not processes_in(folder):
                break
            time.sleep(0.05)  # PostgreSQL writes a checkpoint first
        else:
            pytest.fail(f"left running: {processes_in(folder)}")


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with nothing of our environment but what is given."""
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], **environment}, timeout=60
    )


@pytest.mark.parametrize("command", [[], ["up"], ["serve"], ["token"], ["loadgen"], ["migrate"], ["migrate", "down"]])
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    """And it ends well."""
    answer = run(*command, "--help")
    assert answer.returncode == 0
    assert "Example: " in answer.stdout


def test_a_taken_port_is_named_with_its_option() -> None:
    """Before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = run("up", "--port", str(taken.getsockname()[1]), "--no-prometheus", HOME="/nonexistent")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "choose another with --port" in answer.stderr


def test_commands_say_in_one_line_what_they_lack(tmp_path: Path) -> None:
    """A secret, a variable, a database, a sensible duration: code 1 or 2, no traceback."""
    for arguments, complaint in (
        (["token", "--data-dir", tmp_path], "no secret to sign with"),
        (["loadgen", "--data-dir", tmp_path], "no secret to sign with"),
        (["serve"], "DATABASE_URL is missing"),
        (["migrate", "status", "--database-url", "host=127.0.0.1 port=1 password=hush"], "the database refused"),
    ):
        answer = run(*arguments, HOME=str(tmp_path))
        assert (answer.returncode, answer.stderr.count("\n")) == (1, 1), answer.stderr
        assert complaint in answer.stderr
        assert "hush" not in answer.stderr
    bad = run("loadgen", "--duration", "soon", SUPABASE_JWT_SECRET="s" * 40)
    assert bad.returncode == 2
    assert "'soon' is no duration" in bad.stderr


def test_a_token_is_of_the_user_asked_for() -> None:
    """As text to paste, or as JSON to read."""
    user = uuid4()
    answer = run("token", "--user", str(user), "--json", SUPABASE_JWT_SECRET="s" * 40)
    assert json.loads(answer.stdout)["user_id"] == str(user)
    assert run("token", SUPABASE_JWT_SECRET="s" * 40).stdout.count(".") == 2
    assert run("--version").stdout.strip() == "0.1.0"


def test_load_on_a_service_that_is_not_there_fails_the_check() -> None:
    """With the reason in the report."""
    options = ["--url", f"http://127.0.0.1:{free_port()}", "--users", "2", "--duration", "1s", "--check", "--json"]
    answer = run("loadgen", *options, SUPABASE_JWT_SECRET="s" * 40)
    report = json.loads(answer.stdout)
    assert (answer.returncode, report["ok"]) == (1, False)
    assert "create: ConnectError" in report["reasons"]
    table = run("loadgen", *[option for option in options if option != "--json"], SUPABASE_JWT_SECRET="s" * 40)
    assert "ConnectError" in table.stdout
