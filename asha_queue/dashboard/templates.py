"""Where the pages' templates come from: our folder, then Flower's own."""

import re
from pathlib import Path

from tornado.template import BaseLoader, Template

#: Folder of our templates; their names begin with `asha_`, as none of Flower's do.
OWN = Path(__file__).parent / "pages"

#: The last tab of Flower's navigation bar, up to the end of its list item.
_LAST_TAB = re.compile(r"active_tab == 'broker'.*?</li>", re.DOTALL)
_TAB = """
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'experiments' %} active{% end %}"
            href="{{ reverse_url('experiments') }}"
            {% if active_tab == 'experiments' %}aria-current="page"{% end %}>Experiments</a>
        </li>"""


class Templates(BaseLoader):
    """Loads a template by its name, and Flower's navigation bar with one tab more."""

    def __init__(self, flowers: str) -> None:
        super().__init__()
        self._flowers = Path(flowers)

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:
        return name

    def _create_template(self, name: str) -> Template:
        own = OWN / name
        text = (own if own.is_file() else self._flowers / name).read_text("utf-8")
        if name == "navbar.html":
            text = with_tab(text)
        return Template(text, name=name, loader=self)


def with_tab(navbar: str) -> str:
    """The navigation bar with our tab behind the last one; as it is where that is not found."""
    return _LAST_TAB.sub(lambda found: found.group() + _TAB, navbar, count=1)
