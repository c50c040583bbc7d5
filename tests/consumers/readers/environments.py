"""One virtual environment for each reader version, made when it is first needed."""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
MARKER = "installed.json"


def packages(family, version):
    """What the environment of a reader version holds."""
    name = version.get("package", family.get("package", family["name"]))
    return [f"{name}=={version['version']}", *version.get("packages", [])]


def python(base, name):
    """The interpreter of an environment."""
    return base / name / "bin" / "python"


def ready(base, name, wanted):
    """True when the environment holds what it should."""
    marker = base / name / MARKER
    return marker.exists() and json.loads(marker.read_text()) == wanted


def install(base, name, wanted):
    """Makes the environment, unless it is ready. Fails with what uv printed."""
    if ready(base, name, wanted):
        return
    # It stands in requirements.txt: files are linked from its cache, so that 30 environments cost little.
    uv = pathlib.Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise SystemExit(f"{uv} is missing: run `make readers`, which installs it")
    place = base / name
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place],
        [uv, "pip", "install", "--quiet", "--python", python(base, name), *wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"could not install {name} ({' '.join(wanted)}):\n{done.stderr.strip()}")
    (place / MARKER).write_text(json.dumps(wanted))
