"""TensorBoard: a folder per trial, and in it a file per segment, named for its journal entry.

A file is renamed to its name when it is whole, so that a name which exists was delivered. Names are
in the order of the entries, which is how TensorBoard reads them on.
"""

import os
import struct
from pathlib import Path

from asha_queue.trackers.news import News
from asha_queue.trackers.tracker import About


class TensorBoard:
    """`where` is a folder; without one it is `tensorboard` in the experiment's own. Below it the
    folders are `EXPERIMENT-UID/TRIAL`."""

    def __init__(self, where: str, about: About) -> None:
        root = Path(where).expanduser() if where else about.folder / "tensorboard"
        self._folder = root / f"{about.name}-{about.uid}"

    def tell(self, news: News) -> None:
        if not (news.points or news.new):
            return
        time, _, count = news.entry.partition("-")
        folder = self._folder / f"{news.trial:05d}"
        path = folder / f"events.out.tfevents.{int(time):020d}.{int(count):06d}.asha"
        if path.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{path.name}.{os.getpid()}"
        temporary.write_bytes(_file(news))
        temporary.replace(path)


def _file(news: News) -> bytes:
    """What a file holds: its version, for a new trial its configuration as text, its points."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar, text

    events = [Event(wall_time=news.at, file_version="brain.Event:2")]
    if news.new:
        lines = ["|parameter|value|", "|-|-|", *(f"|{k}|{v}|" for k, v in news.config.items())]
        table = text("configuration", "\n".join(lines))
        events.append(Event(wall_time=news.at, step=0, summary=table))
    for point in news.points:
        for name, value in point.metrics.items():
            events.append(
                Event(wall_time=point.at, step=point.step, summary=scalar(name, float(value)))
            )
    return b"".join(_record(event.SerializeToString()) for event in events)


def _record(data: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + sums[0] + data + sums[1]
