"""Whether a broker can be used at all: reached, logged in to, opened. Pure."""

from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from ..sources.stages import Stage
from .diagnosis import Finding, Step, broken, ok, unknown


class Problem(Struct, frozen=True):
    """Why it went no further."""

    says: str
    """One sentence, free of credentials."""
    lost: bool = False
    """It may work later: the other side did not answer, rather than refuse."""
    forbidden: bool = False
    """A permission is missing."""


class Access(Struct, frozen=True):
    """How far the opening of a connection came."""

    stages: tuple[Stage, ...]
    """Those that this kind of broker has, in order."""
    passed: dict[Stage, str]
    """Where, by stage: a URL without user and password."""
    user: str
    problem: Problem | None = None
    """None: all were passed, and nothing went wrong later."""

    @property
    def is_open(self) -> bool:
        """Whether it can be asked further."""
        return Stage.OPENED in self.passed


REDIS_STAGES: Final = (Stage.REACHED, Stage.LOGGED_IN, Stage.OPENED)
SENTINEL_STAGES: Final = (Stage.LOCATED, *REDIS_STAGES)
RABBITMQ_STAGES: Final = REDIS_STAGES

_WHERE_LOST: Final = {
    Stage.LOCATED: "Start the sentinels, or correct their hosts and ports in the broker URL.",
    Stage.REACHED: "Start it, or correct scheme, host and port in the broker URL, or what is "
    "between them and us (a firewall, DNS).",
    Stage.LOGGED_IN: "See whether this port is the broker's, and whether it wants TLS (rediss:// "
    "or amqps://).",
}
_WHERE_REFUSED: Final = {
    Stage.LOGGED_IN: "Correct user and password in the broker URL, special characters "
    "percent-encoded.",
    Stage.OPENED: "Correct the end of the broker URL, or grant it to the user.",
}
_AGAIN: Final = "Try again; if it stays so, look into the log of the broker."


def judge_access(
    access: Access, *, opened: Step, grant: str, about: str | None = None
) -> list[Finding]:
    """Tell of each stage up to the one that failed.

    Args:
        access: how far it came.
        opened: what opening means for this broker.
        grant: the line that permits it.
        about: which of its servers, where there are several.
    """
    findings: list[Finding] = []
    steps = _steps(opened)
    for stage in access.stages:
        if stage in access.passed:
            findings.append(ok(steps[stage], _passed(stage, access), about=about))
        elif (problem := access.problem) is not None:
            advice = _advice(stage, problem)
            fix = grant if problem.forbidden and stage is Stage.OPENED else None
            findings.append(broken(steps[stage], problem.says, advice, about=about, fix=fix))
            return findings
    if access.problem is not None:
        findings.append(unknown(Step.PERMISSION, access.problem.says, _AGAIN, about=about))
    return findings


def _steps(opened: Step) -> dict[Stage, Step]:
    return {
        Stage.LOCATED: Step.SENTINEL,
        Stage.REACHED: Step.REACHABLE,
        Stage.LOGGED_IN: Step.AUTHENTICATED,
        Stage.OPENED: opened,
    }


def _passed(stage: Stage, access: Access) -> str:
    place = access.passed[stage]
    match stage:
        case Stage.LOCATED:
            return f"the sentinels name {place}"
        case Stage.REACHED:
            return f"{place} answers"
        case Stage.LOGGED_IN:
            return f"as user {access.user!r}"
        case Stage.OPENED:
            return f"{unquote(place.rpartition('/')[2].rpartition('=')[2])} may be used"


def _advice(stage: Stage, problem: Problem) -> str:
    if problem.lost:
        return _WHERE_LOST.get(stage, _AGAIN)
    return _WHERE_REFUSED.get(stage, "Correct the broker URL or its options as it says.")
