"""Programs: how they are named, where they are found, and what is executed when they are loaded."""

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asha_queue.errors import ProgramDiffers, ProgramError
from asha_queue.training.programs import digest, execute, load, locate, require, resolve


@pytest.fixture(autouse=True)
def _imports_are_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str = "def train(trial):\n    return trial\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def function_in(path: Path) -> Callable[..., object]:
    return compiled(path.read_text(), str(path))


def compiled(text: str, filename: str) -> Callable[..., object]:
    namespace: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), namespace)
    train: Callable[..., object] = namespace["train"]
    return train


def test_a_string_below_the_working_directory_becomes_relative_to_it(tmp_path: Path) -> None:
    path = write(tmp_path / "workers" / "digits.py")
    here = ("workers/digits.py:train", [tmp_path])
    assert resolve("workers/digits.py:train", tmp_path) == here
    assert resolve(f"{path}:train", tmp_path) == here
    assert resolve("../workers/digits.py:train", path.parent) == ("digits.py:train", [path.parent])


def test_a_file_elsewhere_is_named_relative_to_its_own_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "elsewhere" / "digits.py")
    write(tmp_path / "here" / "other.py")
    elsewhere = ("digits.py:train", [path.parent])
    assert resolve("../elsewhere/digits.py:train", tmp_path / "here") == elsewhere
    assert resolve(f"{path}:train", tmp_path / "here") == elsewhere


def test_what_was_resolved_is_found_again_in_its_root(tmp_path: Path) -> None:
    path = write(tmp_path / "workers" / "digits.py")
    for cwd in (tmp_path, path.parent, tmp_path / "workers" / ".."):
        assert locate(*resolve(f"{path}:train", cwd)) == path


@pytest.mark.parametrize("text", ["digits", "digits.py", "digits.py:", "digits:train", "a.py:1x"])
def test_a_string_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="write it as 'file.py:function'"):
        resolve(text, tmp_path)


def test_a_file_submitted_from_another_folder_is_found_by_its_name(tmp_path: Path) -> None:
    by_name = write(tmp_path / "here" / "digits.py")
    assert locate("programs/digits.py:train", [tmp_path / "here"]) == by_name
    by_path = write(tmp_path / "there" / "programs" / "digits.py")
    assert locate("programs/digits.py:train", [tmp_path / "here", tmp_path / "there"]) == by_path


def test_the_first_root_that_has_the_file_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "b" / "digits.py")
    write(tmp_path / "c" / "digits.py")
    roots = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    assert locate("digits.py:train", roots) == tmp_path / "b" / "digits.py"


def test_a_program_that_is_nowhere_is_refused_with_the_folders_looked_in(tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as refusal:
        locate("digits.py:train", [tmp_path / "a", tmp_path / "b"])
    assert f"digits.py not found: looked in {tmp_path / 'a'}, {tmp_path / 'b'}" in str(
        refusal.value
    )
    assert "start the worker with --programs DIR" in str(refusal.value)


def test_an_absolute_path_is_found_inside_a_root_only(tmp_path: Path) -> None:
    path = write(tmp_path / "programs" / "digits.py")
    assert locate(f"{path}:train", [tmp_path / "programs"]) == path
    with pytest.raises(ProgramError, match="not found"):
        locate(f"{path}:train", [tmp_path / "other"])


def test_a_path_with_two_dots_is_refused_even_when_it_stays_inside(tmp_path: Path) -> None:
    write(tmp_path / "digits.py")
    write(tmp_path / "a" / "b.py")
    with pytest.raises(ProgramError, match=r"contains '\.\.'"):
        locate("a/../digits.py:train", [tmp_path])


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "digits.py")
    inside = write(tmp_path / "root" / "v2" / "digits.py")
    (tmp_path / "root" / "bad.py").symlink_to(outside)
    (tmp_path / "root" / "folder").symlink_to(outside.parent)
    (tmp_path / "root" / "good.py").symlink_to(inside)
    root = [tmp_path / "root"]
    assert locate("good.py:train", root) == inside
    for link in ("bad.py", "folder/digits.py"):
        with pytest.raises(ProgramError, match="not found"):
            locate(f"{link}:train", root)


def test_a_file_of_a_mounted_configmap_is_named_by_its_link(tmp_path: Path) -> None:
    """The folder behind the links has another name in each pod, and after each change."""
    for folder in ("..2026_11_25", "..2026_11_26"):
        path = write(tmp_path / folder / "digits.py")
        (tmp_path / "..data").unlink(missing_ok=True)
        (tmp_path / "..data").symlink_to(folder)
        (tmp_path / "digits.py").unlink(missing_ok=True)
        (tmp_path / "digits.py").symlink_to("..data/digits.py")
        for named in ("digits.py:train", f"{path}:train"):
            assert resolve(named, tmp_path) == ("digits.py:train", [tmp_path])
        assert locate("digits.py:train", [tmp_path]) == path


def test_a_root_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    path = write(tmp_path / "programs" / "digits.py")
    (tmp_path / "link").symlink_to(path.parent)
    assert locate("digits.py:train", [tmp_path / "link"]) == path


def test_a_loaded_function_is_the_one_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.py", "def train(trial):\n    return trial * 2\n")
    assert load("digits.py:train", [tmp_path], digest(path))(21) == 42


def test_a_file_is_executed_once_and_never_as_main(tmp_path: Path) -> None:
    path = write(
        tmp_path / "digits.py",
        "runs = []\nruns.append(__name__)\n"
        "def train(trial):\n    return runs\n"
        "if __name__ == '__main__':\n    raise RuntimeError('executed as a script')\n",
    )
    first = load("digits.py:train", [tmp_path], digest(path))
    second = load("digits.py:train", [tmp_path], digest(path))
    assert first is second
    assert len(first(None)) == 1
    assert first(None) != ["__main__"]


def test_two_versions_of_a_file_live_side_by_side(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.py", "def train(trial):\n    return 'old'\n")
    old_digest = digest(path)
    old = load("digits.py:train", [tmp_path], old_digest)
    write(path, "def train(trial):\n    return 'new'\n")
    new = load("digits.py:train", [tmp_path], digest(path))
    assert (old(None), new(None)) == ("old", "new")
    with pytest.raises(ProgramDiffers):
        load("digits.py:train", [tmp_path], old_digest)


def test_another_file_than_the_submitted_one_is_refused_and_not_executed(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.py", "raise RuntimeError('executed')\n")
    with pytest.raises(ProgramDiffers) as refusal:
        load("digits.py:train", [tmp_path], "0" * 64)
    assert "submitted with 000000000000" in str(refusal.value)
    assert f"{path} is {digest(path)[:12]}" in str(refusal.value)


def test_modules_beside_the_program_can_be_imported_also_while_it_trains(tmp_path: Path) -> None:
    write(tmp_path / "sibling_now.py", "value = 1\n")
    write(tmp_path / "sibling_later.py", "value = 2\n")
    path = write(
        tmp_path / "digits.py",
        "import sibling_now\n"
        "def train(trial):\n    import sibling_later\n"
        "    return sibling_now.value + sibling_later.value\n",
    )
    assert load("digits.py:train", [tmp_path], digest(path))(None) == 3


def test_each_program_gets_the_sibling_of_its_own_folder(tmp_path: Path) -> None:
    text = (
        "import sibling_net\ndef train(trial):\n"
        "    import sibling_net as late\n    return sibling_net.value, late.value\n"
    )
    for folder in ("a", "b"):
        write(tmp_path / folder / "sibling_net.py", f"value = {folder!r}\n")
        write(tmp_path / folder / "program.py", text)
    for folder in ("a", "b", "a"):
        path = tmp_path / folder / "program.py"
        train = load(f"{folder}/program.py:train", [tmp_path], digest(path))
        assert train(None) == (folder, folder)


def test_classes_of_a_program_can_be_pickled(tmp_path: Path) -> None:
    path = write(
        tmp_path / "digits.py",
        "from dataclasses import dataclass\n@dataclass\nclass Net:\n    size: int\n"
        "def train(trial):\n    return Net(trial)\n",
    )
    net = load("digits.py:train", [tmp_path], digest(path))(7)
    assert pickle.loads(pickle.dumps(net)) == net


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def train(:\n", r"SyntaxError: invalid syntax \(digits.py, line 1\)"),
        ("import not_installed_anywhere\n", "ModuleNotFoundError: No module named"),
        ("raise ValueError('first\\nlast')\n", "ValueError: first"),
        ("raise SystemExit(2)\n", "SystemExit: 2"),
    ],
)
def test_a_failing_import_is_one_error_with_its_reason_each_time(
    text: str, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "digits.py", text)
    for _ in range(2):
        with pytest.raises(ProgramError, match=rf"digits.py cannot be imported: {reason}"):
            load("digits.py:train", [tmp_path], digest(path))


def test_a_missing_function_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.py", "size = 3\ndef train(trial): ...\ndef score(): ...\n")
    with pytest.raises(ProgramError, match=r"has no function trian; it has: score, train$"):
        load("digits.py:trian", [tmp_path], digest(path))
    with pytest.raises(ProgramError, match="has no function size"):
        load("digits.py:size", [tmp_path], digest(path))


def test_a_file_named_by_its_user_is_executed_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "experiment.py", "import sibling_space\nexperiment = 'mine'\n")
    write(tmp_path / "sibling_space.py", "")
    assert execute(path).experiment == "mine"
    with pytest.raises(ProgramError, match="cannot be read: No such file"):
        execute(tmp_path / "absent.py")


@pytest.mark.parametrize(
    "text",
    [
        "def train(trial): ...",
        "from elsewhere import other as train",
        "from elsewhere import *",
        "train = partial(other, 3)",
        "class train: ...",
        "if True:\n    def train(trial): ...",
    ],
)
def test_a_program_that_binds_the_function_is_fit_to_submit(text: str, tmp_path: Path) -> None:
    require(write(tmp_path / "digits.py", text), "train")


def test_a_program_without_the_function_is_not_fit_to_submit(tmp_path: Path) -> None:
    path = write(tmp_path / "digits.py", "import torch\ndef tune(trial): ...\n")
    with pytest.raises(ProgramError, match=r"has no function train; it has: tune$"):
        require(path, "train")
    with pytest.raises(ProgramError, match="is not valid Python: .*line 1"):
        require(write(path, "def train(:"), "train")
