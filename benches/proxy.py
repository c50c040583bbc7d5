"""An nginx that logs the responses of a server, and can limit the rate: neither server nor client counts for itself."""

import contextlib
import dataclasses
import subprocess

from machine import free_port, process, wait_for

CONF = """
daemon off; pid {run}/pid; error_log {run}/error.log warn; worker_processes 1; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  log_format responses '$msec $server_port $status'; access_log {run}/access.log responses;
  client_body_temp_path {run}/1; proxy_temp_path {run}/2; fastcgi_temp_path {run}/3; uwsgi_temp_path {run}/4;
  scgi_temp_path {run}/5; keepalive_requests 10000000; keepalive_timeout 300s;
  upstream sandbox {{ server 127.0.0.1:{behind}; keepalive 256; }}
  {zone}
  server {{
    {listen}
    location / {{
      {limit}
      proxy_pass http://sandbox; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
    error_page 429 @limited;
    location @limited {{ add_header Retry-After 1 always; return 429 '{{"error":"too many requests"}}'; }}
  }}
}}
"""


@dataclasses.dataclass
class Proxy:
    run: object
    ports: list

    def responses(self):
        """The time, port and status of each response, in the order in which they were logged."""
        lines = (line.split() for line in (self.run / "access.log").read_text().splitlines())
        return [(float(at), int(port), int(status)) for at, port, status in lines]


@contextlib.contextmanager
def logging_proxy(run, behind, ports=1, limit=None):
    """Serves what listens on the port `behind`, on this many ports, with files in the directory `run`. A limit is the
    requests per second of all ports together, and the burst."""
    listening = [free_port() for _ in range(ports)]
    zone = limited = ""
    if limit:
        rate, burst = limit
        # One key for all ports.
        zone = f"limit_req_zone $server_addr zone=one:1m rate={rate}r/s;"
        limited = f"limit_req zone=one burst={burst} nodelay; limit_req_status 429;"
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in listening)
    (run / "nginx.conf").write_text(CONF.format(run=run, behind=behind, listen=listen, zone=zone, limit=limited))
    command = ["nginx", "-c", run / "nginx.conf", "-p", run]
    with process(command, stdout=subprocess.DEVNULL) as server:
        for port in listening:
            wait_for(port, server, run / "error.log")
        yield Proxy(run, listening)
