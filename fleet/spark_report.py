#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""One report for a fleet, folded by Spark where the recording can be read.

A task folds one day of one host with `ibsr-report fold`; tasks merge the partial results in
rounds of eight with `ibsr-report merge`; the driver merges the last ones into the report. It is
the report, to the byte, of one `ibsr-report run` over the same files.

Spark lists, places, retries and carries bytes. It never looks into a segment, so any Spark from
3.5 does, without a connector, and no directory has to be shared but the recording's own.
docs/fleet.md shows how to start it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pyspark import RDD, SparkConf, SparkContext, SparkFiles, StorageLevel

# Partial results that one task merges: three rounds are enough for 512 days of hosts.
FAN_IN = 8
# What a fold needs of the time before its day, in whole hours.
WARM_UP = timedelta(hours=3)
# Exit codes of `ibsr-report` from here on say that there is no result.
NO_RESULT = 2
# Stands around what a program said, so that it can be found in Spark's own words.
MARK = "\x1e"

# What the exporter writes, and what `ibsr-report compact` makes of it.
LAYOUTS = ("host=*/scope=*/date=*/hour=*", "host=*/date=*")
SLOT = re.compile(
    r"(?P<path>(?P<stream>.*/host=(?P<host>[^/]+)(?:/scope=[^/]+)?)"
    r"/date=(?P<date>\d{4}-\d\d-\d\d)(?:/hour=(?P<hour>[01]\d|2[0-3]))?)(?:/|$)"
)


class Slot(NamedTuple):
    """A folder of the layout: the segments of a scope, or a host, of one hour or one day."""

    host: str
    stream: str
    start: datetime
    end: datetime
    path: str


class Unit(NamedTuple):
    """What one task folds: a host, a day, and every place where rows of it may lie."""

    host: str
    day: date
    inputs: tuple[str, ...]


class Folded(NamedTuple):
    """Who folded a unit, how long it took, and the partial result."""

    unit: Unit
    worker: str
    seconds: float
    partial: bytes


class ProgramFailed(RuntimeError):
    """`ibsr-report` gave no result; holds its command line and what it said."""


def parse_slot(path: str) -> Slot | None:
    """The slot that a path lies in; `None` when it is not of the layout."""
    match = SLOT.match(path)
    if match is None:
        return None
    start = datetime.fromisoformat(f"{match['date']}T{match['hour'] or '00'}:00:00")
    end = start + timedelta(hours=1 if match["hour"] else 24)
    return Slot(match["host"], match["stream"], start, end, match["path"])


def plan(slots: Iterable[Slot]) -> list[Unit]:
    """A unit for each host and day, in order.

    The day before a host's first is a unit too: its last sweeps may lie in a segment that was
    sealed after midnight.
    """
    hosts: dict[str, dict[str, list[Slot]]] = defaultdict(lambda: defaultdict(list))
    for slot in sorted(set(slots)):
        hosts[slot.host][slot.stream].append(slot)
    units = []
    for host, streams in hosts.items():
        days = {slot.start.date() for slots in streams.values() for slot in slots}
        days |= {day - timedelta(days=1) for day in days}
        for day in sorted(days):
            inputs = [path for slots in streams.values() for path in places(slots, day)]
            units.append(Unit(host, day, tuple(inputs)))
    return units


def places(slots: list[Slot], day: date) -> list[str]:
    """Where one scope's rows of `day` and of its warm-up may lie.

    A segment stands under the hour of its last sweep. Therefore the next slot after the day
    belongs to it as well, whenever that is: a segment in it may have begun on the day.
    """
    start = datetime(day.year, day.month, day.day)
    end = start + timedelta(days=1)
    inside = [slot.path for slot in slots if start - WARM_UP < slot.end and slot.start < end]
    after = [slot.path for slot in slots if end <= slot.start]
    return inside + after[:1]


def within(units: list[Unit], first: date | None, last: date | None) -> list[Unit]:
    """The units of the days from `first` to `last`, both included where given."""
    return [
        unit
        for unit in units
        if (first is None or first <= unit.day) and (last is None or unit.day <= last)
    ]


def list_slots(spark: SparkContext, root: str) -> list[Slot]:
    """The slots below `root`, listed by Hadoop: a path here, or any address that it knows."""
    address = root if "://" in root else f"file://{Path(root).absolute()}"
    hadoop = spark._jvm.org.apache.hadoop.fs  # Its only way to list.
    settings = spark._jsc.hadoopConfiguration()
    paths = []
    for layout in LAYOUTS:
        pattern = hadoop.Path(f"{address.rstrip('/')}/{layout}")
        found = pattern.getFileSystem(settings).globStatus(pattern) or []
        paths += [status.getPath().toString() for status in found]
    return slots_of(paths)


def slots_of(paths: Iterable[str]) -> list[Slot]:
    """The slots that `paths` lie in, as the program on an executor will name them."""
    slots = (parse_slot(as_input(path.strip())) for path in paths)
    return [slot for slot in slots if slot is not None]


def as_input(path: str) -> str:
    """Hadoop's name of a place as `ibsr-report` reads it: a path, or `s3://`."""
    if path.startswith("file:"):
        return "/" + path[len("file:") :].lstrip("/")
    return re.sub(r"^s3[an]://", "s3://", path)


@dataclass(frozen=True)
class Program:
    """`ibsr-report` on an executor, and the flags that every fold of the job shares."""

    name: str
    rules: str | None
    flags: tuple[str, ...]

    def fold(self, unit: Unit) -> Folded:
        """Folds one unit to the bytes of its partial result."""
        start = time.monotonic()
        flags = ["fold", "--day", unit.day.isoformat(), *self.flags]
        if self.rules is not None:
            flags += ["--rules", SparkFiles.get(self.rules)]
        with tempfile.TemporaryDirectory(prefix="ibsr-fold-") as here:
            partial = self.to_bytes(flags, unit.inputs, Path(here))
        # All Python workers of an executor have one parent.
        worker = f"{os.uname().nodename}/{os.getppid()}"
        return Folded(unit, worker, time.monotonic() - start, partial)

    def merge(self, partials: Iterable[bytes]) -> bytes:
        """Merges partial results to one. They reach the disk one at a time."""
        with tempfile.TemporaryDirectory(prefix="ibsr-merge-") as here:
            return self.to_bytes(["merge"], spill(partials, Path(here)), Path(here))

    def to_bytes(self, flags: list[str], inputs: Iterable[str], here: Path) -> bytes:
        """What the program writes to `-o`."""
        out = here / "out"
        run([SparkFiles.get(self.name), *flags, "-o", str(out), "--", *inputs])
        return out.read_bytes()


def spill(partials: Iterable[bytes], here: Path) -> list[str]:
    """Writes each partial result to a file of its own; the files in order."""
    paths = []
    for number, partial in enumerate(partials):
        path = here / f"{number:06}.partial"
        path.write_bytes(partial)
        paths.append(str(path))
    return paths


def run(command: list[str]) -> int:
    """Runs the program to its end; its exit code where that is an answer.

    Raises `ProgramFailed` with what it said otherwise.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode(errors="replace").strip()
    if 0 <= done.returncode < NO_RESULT:
        return done.returncode
    line = " ".join(command[:8]) + (" ..." if len(command) > 8 else "")
    raise ProgramFailed(f"{MARK}`{line}` ended with {done.returncode}\n{said}{MARK}")


def fold_all(spark: SparkContext, program: Program, units: list[Unit]) -> RDD:
    """A fold for each unit, each in a task of its own, kept on the executors' disks."""
    folded = spark.parallelize(units, len(units)).map(program.fold)
    folded.persist(StorageLevel.DISK_ONLY)
    for done in folded.map(lambda folded: folded._replace(partial=b"")).collect():
        note(f"folded {done.unit.host} {done.unit.day} on {done.worker} in {done.seconds:.1f} s")
    return folded.map(lambda folded: folded.partial)


def merge_rounds(program: Program, partials: RDD, count: int) -> RDD:
    """Merges `count` partial results, eight to a task, until at most eight are left."""
    numbered = partials.zipWithIndex().map(lambda pair: (pair[1], pair[0]))
    while count > FAN_IN:
        groups = -(-count // FAN_IN)
        grouped = numbered.map(lambda pair: (pair[0] // FAN_IN, pair[1])).groupByKey(groups)
        numbered = grouped.mapValues(program.merge)
        note(f"merging {count} partial results to {groups}")
        count = groups
    return numbered.values()


def report(args: argparse.Namespace, binary: str, partials: Iterable[bytes]) -> int:
    """Merges the last partial results into the report, here; the program's exit code."""
    with tempfile.TemporaryDirectory(prefix="ibsr-report-") as here:
        now = ["--now", args.now] if args.now else []
        flags = ["merge", "--out", args.out, *now, *args.merge_flag]
        command = [binary, *flags, "--", *spill(partials, Path(here))]
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def find_units(spark: SparkContext, args: argparse.Namespace) -> list[Unit]:
    """Lists the recording and plans what to fold of it."""
    slots = [slot for root in args.input for slot in list_slots(spark, root)]
    for listing in args.listing:
        with Path(listing).open(encoding="utf-8") as lines:
            slots += slots_of(lines)
    units = within(plan(slots), args.first, args.last)
    if not units:
        raise SystemExit(
            "spark_report: no segments were found\n"
            f"hint: an input is the folder, or the prefix, that holds {LAYOUTS[0]}"
        )
    return units


def note(text: str) -> None:
    """One line about the job's progress."""
    print(f"spark_report: {text}", file=sys.stderr, flush=True)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="One report for a fleet, folded by Spark.", allow_abbrev=False
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="ROOT",
        help="folder or s3:// prefix that holds host=*, as `ibsr-export` or `compact` fill it; "
        "every executor must be able to read it; may be given again",
    )
    parser.add_argument(
        "--listing",
        action="append",
        default=[],
        metavar="FILE",
        help="file with the address of one segment a line, instead of listing ROOT; where "
        "Spark has no connector for s3://",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder of the report, on the driver"
    )
    parser.add_argument("--now", metavar="RFC3339", help="time that the report says it was made at")
    parser.add_argument("--rules", metavar="FILE", help="rules to replay; default: the built-in")
    parser.add_argument(
        "--from", dest="first", type=date.fromisoformat, metavar="DATE", help="first day to fold"
    )
    parser.add_argument(
        "--to", dest="last", type=date.fromisoformat, metavar="DATE", help="last day to fold"
    )
    parser.add_argument(
        "--report-binary",
        default="ibsr-report",
        metavar="PROGRAM",
        help="the program, on the driver; it is sent to the executors (default: the one in PATH)",
    )
    parser.add_argument(
        "--fold-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="flag for every fold, for example --fold-flag=--allow=192.0.2.0/24",
    )
    parser.add_argument(
        "--merge-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="flag for the last merge, for example --merge-flag=--look=2",
    )
    args = parser.parse_args()
    if not args.input and not args.listing:
        parser.error("--input or --listing is missing")
    return args


def run_job(args: argparse.Namespace, binary: str, spark: SparkContext) -> int:
    """Everything between the start of the cluster and its end; the exit code."""
    units = find_units(spark, args)
    note(f"{len(units)} units of {len({unit.host for unit in units})} hosts")
    spark.addFile(binary)
    if args.rules is not None:
        spark.addFile(args.rules)
    program = Program(
        name=Path(binary).name,
        rules=args.rules and Path(args.rules).name,
        flags=("--threads", spark.getConf().get("spark.task.cpus", "1"), *args.fold_flag),
    )
    partials = merge_rounds(program, fold_all(spark, program, units), len(units))
    return report(args, binary, partials.toLocalIterator())


def main() -> int:
    """The job; exit codes are those of `ibsr-report`, 2 for every error."""
    args = parse_args()
    binary = shutil.which(args.report_binary)
    if binary is None:
        note(f"`{args.report_binary}` is missing\nhint: name it with --report-binary")
        return NO_RESULT
    spark = SparkContext.getOrCreate(SparkConf().setAppName("ibsr-report"))
    try:
        return run_job(args, binary, spark)
    except Exception as error:  # Whatever failed: its own words come first.
        said = str(error).split(MARK)
        if len(said) < 3:
            raise
        note(f"a task failed: {said[1]}")
        return NO_RESULT
    finally:
        spark.stop()


if __name__ == "__main__":
    sys.exit(main())
