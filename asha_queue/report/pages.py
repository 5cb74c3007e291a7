"""What reports and plans have in common: one look, and all that a page needs within it."""

import time
from importlib.resources import files
from typing import Any

import msgspec
from tornado.template import Template

from asha_queue.figures import SCRIPT, Figure

_HERE = files("asha_queue.report")


def page(template: str, made: float, **fields: Any) -> str:
    """The page that `template` makes of these fields; `made` is the time now, in seconds."""
    text = (_HERE / template).read_text("utf-8")
    return (
        Template(text, name=template)
        .generate(
            made=date(made),
            plotly=(files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8"),
            script=SCRIPT.read_text("utf-8"),
            style=(_HERE / "page.css").read_text("utf-8"),
            page=(_HERE / "page.js").read_text("utf-8"),
            **fields,
        )
        .decode()
    )


def written(figure: Figure) -> str:
    """A figure as JSON that may stand inside a script element."""
    return msgspec.json.encode(figure).decode().replace("<", "\\u003c")


def date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
