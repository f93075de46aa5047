"""The floors of the house, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "harness"
FLOORS = (
    {"errors", "records", "units", "stats", "scratch"},
    {"config", "sqltext", "dialect", "answer", "machine", "store"},
    {"benchmark", "prompt", "sandbox", "suite"},
    {"model", "generate", "scoring", "throughput", "ranks"},
    {"trainer", "evaluate", "comparison", "report", "metrics", "init", "query", "public", "bench"},
    {"cli"},
)
SETTINGS = {"harness.generate.settings", "harness.model.settings", "harness.trainer.settings"}
"""Plain records without torch."""
HEAVY = {"torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate"}
HEAVY_ROOMS = {"model", "generate", "trainer", "throughput", "machine", "ranks"}
MAX_LINES, MAX_FUNCTION = 400, 70

FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    """`harness.store.read` -> `store`."""
    return module.split(".")[1] if module.count(".") else ""


def floor(name: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if name in rooms), -1)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module and whether the import is put off (inside a function, or for types only)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late: set[int] = set()
    for node in ast.walk(tree):
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if typing or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            late |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*whole.split("."))).with_suffix(".py").is_file()
                is_package = (ROOT / Path(*whole.split(".")) / "__init__.py").is_file()
                yield (whole if is_module or is_package else node.module), id(node) in late


def test_every_room_has_a_floor():
    rooms = {room(module_of(path)) for path in FILES} - {"", "__main__"}
    assert {name for name in rooms if floor(name) < 0} == set()


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_lead_downward(path):
    here = room(module_of(path))
    for module, _ in imports(path):
        if module.split(".")[0] != "harness" or not room(module) or here in ("", "__main__") or module in SETTINGS:
            continue
        assert floor(room(module)) <= floor(here), f"{module_of(path)} imports {module} from a higher floor"


def test_no_room_imports_in_a_circle():
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        here = room(module_of(path))
        for module, _ in imports(path):
            there = room(module) if module.split(".")[0] == "harness" else ""
            if there and here not in ("", "__main__") and there != here and module not in SETTINGS:
                arrows.setdefault(here, set()).add(there)

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for there in arrows.get(todo.pop(), ()):
                if there not in seen:
                    seen.add(there)
                    todo.append(there)
        return seen

    assert [name for name in arrows if name in reachable(name)] == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_torch_stays_in_its_rooms_and_the_face_is_left_alone(path):
    module = module_of(path)
    for name, _ in imports(path):
        if name.split(".")[0] in HEAVY:
            assert room(module) in HEAVY_ROOMS, f"{module} imports {name}"
        assert name != "harness" or module == "harness", f"{module} imports the package's own face"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} is {length} lines long"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_code_imports_what_is_measured_or_was_measured(path):
    assert not [name for name, _ in imports(path) if name.split(".")[0] in ("benchmarks", "reports", "tests")]


@pytest.mark.parametrize(
    "modules",
    [
        "harness",
        "harness.cli",
        "harness.cli.scoring, harness.cli.reading, harness.cli.experiments, harness.cli.benching, harness.cli.asking",
        "harness.generate.server, harness.generate.replay",
    ],
)
def test_scoring_and_reading_need_no_torch(modules):
    code = f"import sys\nimport {modules}\nprint(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_face_loads_nothing_until_it_is_asked():
    code = (
        "import sys, harness\n"
        "loaded = [name for name in sys.modules if name.startswith('harness.')]\n"
        "print(loaded, harness.__version__, callable(harness.score), callable(harness.audit), "
        "callable(harness.compare), callable(harness.load_run))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("[] ")
    assert done.stdout.split()[2:] == ["True"] * 4
