"""Celery's tasks, over folders; run by itself, it sends some."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery

from tests.peers.web import ask

folders = Path(os.environ["FOLDERS"])
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={name: str(folders) for name in ("data_folder_in", "data_folder_out", "control_folder")},
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
)


@app.task(name="asking")
def asking(who: str) -> None:
    """Asks a model, and says so in a file."""
    ask(who)
    (folders / f"done {who}").touch()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        asking.delay(each)
