"""Parts for the tests of the GPU script's driver: plan and work in one, without PyTorch."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from veclab.bench.gpu.plan import Part
from veclab.bench.gpu.worker import Report

WORK = __name__
TOTAL = 60.0
PARTS = (
    Part("first", "succeed", 10),
    Part("second", "succeed", 10, (("a", "b"), ("c",)), (("quick",),)),
    Part("fallback", "fall_back", 10),
    Part("provoking", "fall_back", 10, tests=True),
    Part("fails", "fail", 10),
    Part("exits", "leave", 10),
    Part("slow", "sleep", 1, grace=5),
    Part("hangs", "hang", 1, grace=0.5),
    Part("dies", "die", 10),
    Part("interrupted", "interrupt", 10),
    Part("large", "write", 10),
    Part("gpu", "succeed", 10, smoke=None),
    Part("parent", "bear", 10),
    Part("apart", "succeed", 10, fresh=True),
    Part("last", "sleep_until_interrupted", 1, grace=5, open_ended=True),
)


def prepare() -> dict[str, object]:
    return {"device": "a fake", "torch": "0"}


def succeed(report: Report, commands: list[list[str]]) -> None:
    report.row({"value": 1}, "row 0, early")
    report.row({"value": 2}, "row 1")
    report.row({"value": 3}, "row 0, late", 0)
    report.row({"pid": os.getpid(), "commands": commands, "device": report.device}, f"worker {os.getpid()}")
    report.headline("7 games/min")


def fall_back(report: Report, commands: list[list[str]]) -> None:
    report.headline("5 games/min")
    for _ in range(2):
        logging.getLogger("vecgame.fallback").warning("searches on %s go on without graphs: %s", "cuda", "no luck")


def fail(report: Report, commands: list[list[str]]) -> None:
    report.row({"value": 1}, "the row before")
    raise ValueError("an illegal memory access\nand more")


def leave(report: Report, commands: list[list[str]]) -> None:
    sys.exit("out")


def sleep(report: Report, commands: list[list[str]]) -> None:
    report.row({"value": 1}, "asleep")
    report.headline("3 games/min")
    time.sleep(60)


def hang(report: Report, commands: list[list[str]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sleep(report, commands)


def die(report: Report, commands: list[list[str]]) -> None:
    report.row({"value": 1}, "the last row")
    print("out of luck", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt(report: Report, commands: list[list[str]]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)


def write(report: Report, commands: list[list[str]]) -> None:
    (report.folder / "noise.safetensors").write_bytes(random.Random(0).randbytes(300_000))
    (report.folder / "small.json").write_text("{}")
    (report.folder / "run").mkdir()
    (report.folder / "run" / "checkpoint.safetensors").write_text("only to go on")
    for _ in range(20_000):
        print("a line of a log that goes on and on")


def bear(report: Report, commands: list[list[str]]) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(os.environ["FAKE_CHILD"]).write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_until_interrupted(report: Report, commands: list[list[str]]) -> None:
    try:
        sleep(report, commands)
    except KeyboardInterrupt:
        report.headline("saved")
