"""A real Prometheus for tests: a server of its own, on a free port, with its own files."""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import yaml

from tests.needs import lacking
from tests.servers import free_port, wait_for

_SERVER, _TOOL = "prometheus", "promtool"


def require_prometheus() -> None:
    """Skip where Prometheus is not installed; fail instead where ``STREAM_CI`` says it must be."""
    if not (shutil.which(_SERVER) and shutil.which(_TOOL)):
        lacking("Debian's package prometheus")


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run promtool; its output is in the answer, whether it is content or not."""
    command = [_TOOL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class Prometheus:
    """A server that scrapes every half a second.

    Args:
        directory: for its files.
        jobs: scrape configurations.
        rules: files with rules.
    """

    def __init__(
        self, directory: Path, *jobs: dict[str, Any], rules: tuple[Path, ...] = ()
    ) -> None:
        self._directory = directory
        every = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
        self._config = {
            "global": every,
            "rule_files": list(map(str, rules)),
            "scrape_configs": list(jobs),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self.url = ""

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    _SERVER,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--storage.tsdb.min-block-duration=2h",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(self._is_ready, what="Prometheus is ready")
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._session.close()

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression yields now.

        Raises:
            AssertionError: it cannot be parsed or evaluated.
        """
        return self._get("query", query=expr)["result"]

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with how their evaluation went."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, with how the last scrape went."""
        return self._get("targets")["activeTargets"]

    def _is_ready(self) -> bool:
        assert self._process is not None
        log = (self._directory / "log").read_text()
        assert self._process.poll() is None, log[-2000:]
        try:
            return bool(self._session.get(f"{self.url}/-/ready", timeout=2).ok)
        except requests.RequestException:
            return False

    def _get(self, what: str, **parameters: str) -> Any:
        answer = self._session.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=20)
        told = answer.json()
        assert told["status"] == "success", (parameters, told)
        return told["data"]


def job(name: str, address: str, **more: Any) -> dict[str, Any]:
    """A scrape configuration for one page."""
    return {"job_name": name, "static_configs": [{"targets": [address]}], **more}
