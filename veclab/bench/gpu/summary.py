"""What has become of the parts, in words."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from veclab.bench.gpu.plan import Part

WIDTH = 100
OK, DEGRADED, FAILED, CUT, NOT_RUN = "ok", "degraded", "failed", "cut", "not run"
NEEDS_GPU = "needs a GPU"


@dataclass
class Outcome:
    """What has become of a part."""

    part: Part
    state: str = NOT_RUN
    seconds: float = 0.0
    limit: float = 0.0  # seconds that it had
    headline: str = ""
    reasons: list[str] = field(default_factory=list)  # why it is not ok, a line each
    rows: dict[int, str] = field(default_factory=dict)

    @property
    def excused(self) -> bool:
        """Whether it was left out because there is no GPU, and none was to be expected."""
        return self.state == NOT_RUN and self.reasons == [NEEDS_GPU]

    def because(self, reason: str) -> None:
        """A reason, once."""
        if reason and reason not in self.reasons:
            self.reasons.append(reason)


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """0 if all parts are ok, 1 if one failed, was cut or not run at all, else 4 if one is degraded."""
    states = {outcome.state for outcome in outcomes if not outcome.excused}
    if states & {FAILED, CUT, NOT_RUN}:
        return 1
    return 4 if DEGRADED in states else 0


def summary(title: str, outcomes: Sequence[Outcome], left_out: Sequence[str]) -> str:
    """A table of the parts, `WIDTH` wide, then why parts are not ok, and which files the archive lacks."""
    width = max([len(outcome.part.name) for outcome in outcomes] + [4])
    lines = [title, "", f"{'part':<{width}} {'seconds':>7} {'limit':>6}  {'state':<8}  figure"]
    for outcome in outcomes:
        times = f"{outcome.seconds:7.0f} {outcome.limit:6.0f}" if outcome.limit else f"{'':7} {'':6}"
        line = f"{outcome.part.name:<{width}} {times}  {outcome.state:<8}  {outcome.headline}".rstrip()
        lines.append(line if len(line) <= WIDTH else f"{line[: WIDTH - 2]}..")
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for outcome in outcomes:
        if outcome.reasons:
            alike.setdefault((outcome.state, tuple(outcome.reasons)), []).append(outcome.part.name)
    lines += [""] * bool(alike)
    for (state, reasons), names in alike.items():
        for reason in reasons:
            lines += wrapped(f"{', '.join(names)}, {state}: {reason}")
    lines += [""] * bool(left_out)
    lines += [line for name in left_out for line in wrapped(f"not in the archive: {name}")]
    return "\n".join(lines) + "\n"


def wrapped(text: str) -> list[str]:
    """Lines of `WIDTH` at most, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def as_json(title: str, outcomes: Sequence[Outcome], left_out: Sequence[str]) -> str:
    """The same for programs."""
    parts = [{"name": outcome.part.name, **asdict(outcome)} for outcome in outcomes]
    return json.dumps({"title": title, "parts": parts, "left_out": list(left_out)}, indent=1)
