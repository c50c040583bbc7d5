"""The servers that tasks are fetched from: nginx, or the mock server of the program."""

import contextlib
import grp
import os
import pwd
import resource
import shutil
import subprocess

from inputs import FILE_NAME, write_files
from machine import free_port, process, wait_for

OPEN_FILES = 65_536
"""Files that nginx may have open: one for each task, so that it opens none twice."""

OTHER_FILES = 1_200
"""Part of these for up to 512 connections, a file in transit on each, and nginx."""

CONF = """
daemon off; {user} pid {run}/pid; error_log {run}/error.log warn; worker_processes 1; worker_rlimit_nofile {open_files};
events {{ worker_connections 512; }}
http {{
  access_log off; default_type application/json; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 300s;
  open_file_cache max={cached_files} inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path {run}/1; proxy_temp_path {run}/2; fastcgi_temp_path {run}/3; uwsgi_temp_path {run}/4;
  scgi_temp_path {run}/5;
  map $arg_task_id $task {{ default /none; "~^{file_name}$" /$arg_task_id.json; }}
  server {{
    listen 127.0.0.1:{port}; root {files};
    location = /v2/task {{
      if ($http_authorization !~ "^(Bearer|Basic) ") {{ return 401 '{{"error":"unauthorized"}}'; }}
      try_files $task =404;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(tasks, run):
    """Serves these tasks as files, with its own files in the directory `run`. Yields the port."""
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    files, port = run / "tasks", free_port()
    write_files(tasks.lines, files)
    # Otherwise the workers run as a user that cannot read these files.
    user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
    # Keeps as many files open as possible, with room for the connections.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    limits = {"open_files": open_files, "cached_files": max(1, open_files - OTHER_FILES)}
    conf = CONF.format(run=run, port=port, files=files, user=user, file_name=FILE_NAME, **limits)
    (run / "nginx.conf").write_text(conf)
    command = ["nginx", "-c", run / "nginx.conf", "-p", run]
    with (run / "stderr").open("wb") as stderr, process(command, stderr=stderr) as server:
        wait_for(port, server, run / "stderr")
        yield port
    shutil.rmtree(files)


@contextlib.contextmanager
def sandbox(program, arguments, log):
    """Serves the tasks that these arguments describe. Yields the port."""
    port = free_port()
    command = [program, "sandbox", "--port", str(port), *arguments]
    with log.open("wb") as stderr, process(command, stdout=subprocess.DEVNULL, stderr=stderr) as server:
        wait_for(port, server, log)
        yield port
