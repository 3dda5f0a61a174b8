"""The whole application in one program: PostgreSQL, migrations, the API, /metrics, and a client that takes a session through its life."""

import asyncio
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from httpx import AsyncClient

from lift_store.api.serve import run
from lift_store.local.process import free_port
from lift_store.local.stack import LocalStack
from lift_store.local.token import mint
from lift_store.settings import Settings


async def main(local: LocalStack) -> None:
    port, operators, ready = free_port(), free_port(), asyncio.Event()
    settings = Settings.load(database_url=local.app_dsn, jwt_secret=local.jwt_secret, port=port, operator_port=operators)
    async with asyncio.TaskGroup() as tasks, AsyncClient(base_url=f"http://127.0.0.1:{port}") as api:
        tasks.create_task(run(settings, on_ready=ready.set))
        await ready.wait()
        api.headers["Authorization"] = f"Bearer {mint(local.jwt_secret, uuid4())}"
        created = await api.post("/api/sessions", json={"revisions": [{"content": "Sort numbers.", "revision_type": "initial"}]})
        session = created.headers["Location"]
        await api.post(f"{session}/revisions", json={"content": "Largest first.", "revision_type": "manual_edit"})
        drafted = await api.post(f"{session}/drafts", json={"ir": {"signature": "sort(numbers)"}})
        closed = await api.post(f"{session}/finalize", headers={"If-Match": drafted.headers["ETag"]})
        print("The session is", closed.json()["status"])
        metrics = await api.get(f"http://127.0.0.1:{operators}/metrics?name[]=lift_store_operations_total")
        print(*(line for line in metrics.text.splitlines() if not line.endswith(" 0.0")), sep="\n")
        signal.raise_signal(signal.SIGINT)  # as Ctrl-C would: the service drains, then ends


with TemporaryDirectory() as folder:
    Path(folder).chmod(0o711)  # for root, whose PostgreSQL runs as an account of its own
    with LocalStack(Path(folder, "data")) as stack:
        asyncio.run(main(stack))
