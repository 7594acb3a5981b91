"""The image without an engine: its file is judged, and its steps are run in a clean directory."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ROOT, Valkey, free_port, wait_for

DOCKERFILE = ROOT / "Dockerfile"


def instructions():
    """(instruction, the rest of it) of each line, continuations joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def last(instruction):
    return [rest for name, rest in instructions() if name == instruction][-1]


def commands(number):
    """What one RUN does, without its mounts."""
    run = [rest for name, rest in instructions() if name == "RUN"][number]
    return [shlex.split(each) for each in re.sub(r"--mount=\S+\s+", "", run).strip().split("&&")]


def environment():
    return dict(pair.split("=", 1) for pair in last("ENV").split())


def hadolint(path):
    command = [Path(sys.executable).parent / "hadolint", "--no-color", path]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_hadolint_has_nothing_to_say():
    judged = hadolint(DOCKERFILE)
    assert (judged.returncode, judged.stdout) == (0, "")


def test_hadolint_would_say_what_is_wrong(tmp_path):
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(DOCKERFILE.read_text().replace(":3.13-slim-bookworm", ":latest"))
    assert hadolint(spoilt).returncode != 0


def test_it_runs_as_a_number_and_says_what_it_is():
    assert last("USER") == "10001:10001"
    labels = re.findall(r"org\.opencontainers\.image\.(\w+)=", last("LABEL"))
    assert set(labels) == {"title", "description", "licenses", "version", "revision"}
    assert json.loads(last("ENTRYPOINT")) == ["celery-stream"]
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert [stage.endswith(" AS build") for stage in stages] == [True, False]
    assert not [rest for name, rest in instructions() if name == "ADD"]


def context():
    """What the engine is sent, by .dockerignore: the last pattern that fits decides."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().split() if line]
    for path in _files():
        name, wanted = str(path.relative_to(ROOT)), True
        for pattern in patterns:
            bare = pattern.removeprefix("!").replace("**/", "*")
            if any(fnmatch.fnmatch(part, bare) for part in (name, *_parents(name))):
                wanted = pattern.startswith("!")
        if wanted:
            yield path


def _files():
    for folder, folders, files in os.walk(ROOT):
        folders[:] = set(folders) - {".venv", ".git", ".hypothesis"}  # others write there
        yield from (Path(folder, file) for file in files)


def _parents(name):
    parts = name.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


@contextmanager
def serving(command, directory, **env):
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_its_steps_make_a_service_that_its_own_check_finds_well(tmp_path):
    source, wheels, installed = tmp_path / "src", tmp_path / "wheels", tmp_path / "installed"
    for path in context():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert {path.name for path in source.iterdir()} == {"pyproject.toml", "README.md", "stream"}
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def pip(python, step):
        step = [word.replace("/wheels", str(wheels)) for word in step[1:]]
        step = [str(each) for word in step for each in _matching(word)]
        command = [python, "-m", "pip", "--disable-pip-version-check", "-q", *step]
        subprocess.run(command, check=True, cwd=source, env=clean)

    (build,) = commands(0)
    pip(sys.executable, build)
    venv.create(installed, with_pip=True)
    install, *users = commands(1)
    pip(installed / "bin" / "python", install)
    assert [each[0] for each in users] == ["groupadd", "useradd"]

    port = free_port()
    env = environment() | {"PATH": f"{installed}/bin:{os.environ['PATH']}"}
    env["STREAM_LISTEN"] = env["STREAM_LISTEN"].replace("0.0.0.0:9540", f"127.0.0.1:{port}")
    check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])

    def is_well():
        asked = subprocess.run(
            check, check=False, env=env, cwd=tmp_path, capture_output=True, timeout=20
        )
        return asked.returncode == 0

    before = sorted(installed.rglob("*"))
    with Valkey(tmp_path / "valkey") as valkey:
        env["CELERY_BROKER_URL"] = valkey.url
        entrypoint = [str(installed / "bin" / json.loads(last("ENTRYPOINT"))[0])]
        assert not is_well()
        with serving([*entrypoint, *json.loads(last("CMD"))], tmp_path, **env) as process:
            wait_for(is_well)
            process.terminate()
            assert process.wait(20) == 0
        assert not is_well()
        encrypted = env | certificate_in(tmp_path)
        with serving([*entrypoint, *json.loads(last("CMD"))], tmp_path, **encrypted):
            wait_for(is_well)
    assert sorted(installed.rglob("*")) == before  # its root may be read-only
    told = subprocess.run(
        [*entrypoint, "deploy", "compose"],
        check=True,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "==> compose.yaml <==" in told.stdout  # the wheel has the files


def certificate_in(directory):
    """The settings with which it serves HTTPS."""
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=celery-stream.example", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return {"STREAM_ACCESS_CERTIFICATE": cert, "STREAM_ACCESS_KEY": key}


def _matching(word):
    directory, _, pattern = word.rpartition("/")
    if "*" not in pattern:
        return [word]
    return sorted(path for path in Path(directory).glob(pattern))
