"""What the doctor's tests share: a diagnosis in few words."""

from stream.configure import load
from stream.doctor.checkup import diagnose
from stream.doctor.diagnosis import Step, Verdict


async def checked(url, *, seconds=0.3, **flags):
    """The check-ups of the broker and of the receiver."""
    broker, receiver = (await diagnosed(url, seconds=seconds, **flags)).checkups
    return broker, receiver


async def diagnosed(url, *, seconds=0.3, **flags):
    """Everything that is found."""
    return await diagnose(load(env={}, flags={"broker": url, **flags}), seconds)


async def broker_of(url, **flags):
    """The check-up of the broker."""
    return (await checked(url, **flags))[0]


def verdicts(checkup, *steps):
    """(about, verdict) of the findings of these steps, or (step, verdict) of all."""
    if not steps:
        return [(each.step, each.verdict) for each in checkup.findings]
    return [(each.about, each.verdict) for each in checkup.findings if each.step in steps]


def broken_ones(checkup):
    return [each for each in checkup.findings if each.verdict is Verdict.BROKEN]


def one(checkup, step, about=None):
    """The only finding of a step, or of one thing that it is about."""
    (found,) = [
        each for each in checkup.findings if each.step is step and about in {None, each.about}
    ]
    return found


def is_advised(checkup):
    """Whether each finding that is not ok comes with one sentence of what to do."""
    return all(
        each.verdict is Verdict.OK or (each.advice or "").endswith(".") for each in checkup.findings
    )


ACCESS = (Step.REACHABLE, Step.AUTHENTICATED, Step.DATABASE)
