"""The server that is polled: nginx, which answers from memory, so that the client is measured.

Its replies are those of a CC-CMS server: 20 rows, 1,000 rows at once (CTI 3.8), and 999 rows in ten
pages (CTI 3.6; with 1,000, the tenth page would be full and an eleventh request would follow).
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import await_port, free_port, started

PAGE = 100
ROWS_IN_PAGES = 999

_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  default_type application/json;
  root {directory};
  keepalive_requests 1000000000;
  keepalive_timeout 300;
  open_file_cache max=100;
  client_body_temp_path {directory}/t1;
  proxy_temp_path {directory}/t2;
  fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4;
  scgi_temp_path {directory}/t5;
  map $request_body $offset {{
    "~\\"offset\\":(?<digits>[0-9]+)" $digits;
  }}
  upstream pages {{
    server unix:{directory}/pages.sock;
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port};
    # nginx refuses to POST to a file: that is where the file comes in
    location /rows20/ {{ error_page 404 405 =200 /rows20.json; }}
    location /rows1000/ {{ error_page 404 405 =200 /rows1000.json; }}
    location ~ [.]json$ {{ }}
    location /paged/ {{
      proxy_pass http://pages;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      # the body has been read only by the time that headers are made
      proxy_set_header X-Offset $offset;
    }}
  }}
  server {{
    listen unix:{directory}/pages.sock;
    location / {{ error_page 404 405 =200 /page$http_x_offset.json; }}
    location ~ [.]json$ {{ }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """The URLs of the three servers, as the configuration has them."""

    rows20: str
    rows1000: str
    paged: str


@contextlib.contextmanager
def answering(nginx: str) -> Iterator[Peer]:
    """Run nginx while the block runs.

    Args:
        nginx: its program.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's workers run as another user
        (directory / "rows20.json").write_bytes(reply(rows(20), 20))
        (directory / "rows1000.json").write_bytes(reply(rows(1000), 1000))
        whole = rows(ROWS_IN_PAGES)
        for offset in range(0, ROWS_IN_PAGES, PAGE):
            page = whole[offset : offset + PAGE]
            (directory / f"page{offset}.json").write_bytes(reply(page, ROWS_IN_PAGES))
        config = directory / "nginx.conf"
        config.write_text(_CONFIG.format(directory=directory, port=port), encoding="ascii")
        command = (nginx, "-e", str(directory / "error.log"), "-c", str(config))
        with started(*command) as process:
            await_port(port, process)
            base = f"http://127.0.0.1:{port}"
            yield Peer(f"{base}/rows20", f"{base}/rows1000", f"{base}/paged")


def rows(count: int) -> list[dict[str, Any]]:
    """That many agents: every reason, and starts within the last hour."""
    now = int(time.time())
    return [
        {
            "agentName": f"Agent Name {number}",
            "workNo": 55000 + number,
            "cantRestReason": number % 5,
            "beginTime": (now - 3600 + number) * 1000,
            "restDuration": 900,
        }
        for number in range(count)
    ]


def reply(details: list[dict[str, Any]], agents: int) -> bytes:
    """A reply of CC-CMS: everything in it twice, as the vendor's page has it.

    Args:
        details: the rows that it lists.
        agents: how many its counters count: every page of a listing has the same ones.
    """
    waiting = agents * 4 // 5
    result = {
        "allowRestNum": 5,
        "onRestNum": agents - waiting,
        "waitRestNum": waiting,
        "agentsRestDetails": details,
    }
    envelope = {"result": "0", "resultCode": "0100000", "resultDatas": result, "resultDesc": result}
    return json.dumps(envelope).encode()
