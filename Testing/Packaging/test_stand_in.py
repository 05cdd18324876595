"""The stand-in for Slicer has to have Slicer's traps, or the packaging test would prove nothing."""

from __future__ import annotations

from pathlib import Path

_HEAD = (
    "cmake_minimum_required(VERSION 3.16)\nproject(Small)\nfind_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\n"
)


def _write(project, calls: str, *files: str) -> None:
    for file in files:
        path = project.source / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("value = 1\n", encoding="utf-8")
    (project.source / "CMakeLists.txt").write_text(_HEAD + calls, encoding="utf-8")


def _installed(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


def test_scripts_and_resources_keep_the_path_they_are_listed_with(small_project):
    _write(
        small_project,
        "slicerMacroBuildScriptedModule(NAME Small SCRIPTS Small.py Part/a.py RESOURCES Part/b.txt)\n",
        "Small.py",
        "Part/a.py",
        "Part/b.txt",
    )
    assert small_project.configure().returncode == 0
    folder = small_project.build_and_install()
    assert _installed(folder) == {"Small.py", "Part/a.py", "Part/b.txt"}
    assert list(folder.rglob("*.pyc"))  # scripts come compiled


def test_with_subdir_puts_a_module_into_a_folder_of_its_name(small_project):
    _write(small_project, "add_subdirectory(Lib)\n", "Lib/a.py")
    (small_project.source / "Lib" / "CMakeLists.txt").write_text(
        "slicerMacroBuildScriptedModule(NAME Lib SCRIPTS a.py WITH_SUBDIR)\n", encoding="utf-8"
    )
    assert small_project.configure().returncode == 0
    assert _installed(small_project.build_and_install()) == {"Lib/a.py"}


def test_a_listed_file_that_does_not_exist_stops_the_configuration(small_project):
    _write(small_project, "slicerMacroBuildScriptedModule(NAME Small SCRIPTS Small.py lost.py)\n", "Small.py")
    done = small_project.configure()
    assert done.returncode != 0
    assert "lost.py" in done.stderr


def test_a_file_listed_from_the_folder_above_configures_and_is_not_installed(small_project):
    _write(small_project, "add_subdirectory(Module)\n", "Module/Module.py", "Lib/a.py")
    (small_project.source / "Module" / "CMakeLists.txt").write_text(
        "slicerMacroBuildScriptedModule(NAME Module SCRIPTS Module.py ../Lib/a.py)\n", encoding="utf-8"
    )
    assert small_project.configure().returncode == 0
    assert _installed(small_project.build_and_install()) == {"Module.py"}


def test_a_second_call_with_the_same_name_is_dropped(small_project):
    call = "slicerMacroBuildScriptedModule(NAME Small SCRIPTS {})\n"
    _write(small_project, call.format("a.py") + call.format("b.py"), "a.py", "b.py")
    assert small_project.configure().returncode == 0
    assert _installed(small_project.build_and_install()) == {"a.py"}


def test_a_missing_test_script_stops_the_configuration(small_project):
    _write(small_project, "slicer_add_python_unittest(SCRIPT nothing.py)\n")
    assert small_project.configure().returncode != 0
