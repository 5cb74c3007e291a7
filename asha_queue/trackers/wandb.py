"""Weights & Biases: a group per experiment, and a run `UID-TRIAL` per trial that segments resume.

Offline (WANDB_MODE=offline) each segment leaves a folder of its own with the same run id in
`wandb/`, for `wandb sync`. What was on its way there when this process was killed may be in two.
"""

import os
from typing import Any

from asha_queue.trackers.news import News
from asha_queue.trackers.tracker import About


class Wandb:
    """`where` is a project; without one it is WANDB_PROJECT, or the experiment's name."""

    def __init__(self, where: str, about: About) -> None:
        self._project = where or os.environ.get("WANDB_PROJECT", about.name)
        self._about = about

    def tell(self, news: News) -> None:
        if not (news.points or news.ended):
            return  # a run begins with its first points
        import wandb

        about = self._about
        folder = about.folder / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        run: Any = wandb.init(
            project=self._project,
            group=about.name,
            name=f"{about.name}/{news.trial}",
            id=f"{about.uid}-{news.trial}",
            config=news.config,
            resume="allow",
            dir=str(about.folder),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        failed = news.state in ("failed", "cancelled", "diverged")
        try:
            for point in news.points:
                if point.step >= run.step:  # what an earlier process has delivered is there
                    run.log(point.metrics, step=point.step)
            run.summary.update({"state": news.state, "rung": news.rung, "worker": news.worker})
        finally:
            run.finish(exit_code=int(news.ended and failed))
