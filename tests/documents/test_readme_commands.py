"""The README's commands are run, and its examples are checked by the programs that read them."""

import re
import shlex
import subprocess
from pathlib import Path

import promql_parser
import pytest
import trustme

from exporter.config.load import load
from tests.support.paths import ROOT
from tests.support.processes import clean_environment

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading."""
    _, _, rest = README.partition(f"\n## {title}\n")
    assert rest, f"the README has no section {title}"
    return rest.partition("\n## ")[0]


def commands(title: str) -> list[str]:
    """The commands of a section: what is indented by four spaces."""
    unfenced = re.sub(r"```.*?```", "", section(title), flags=re.DOTALL)
    return re.findall(r"^ {4}(\S.*)$", unfenced, re.MULTILINE)


def yaml_block(title: str) -> str:
    """The YAML of a section."""
    match = re.search(r"```yaml\n(.*?)```", section(title), re.DOTALL)
    assert match
    return match[1]


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A folder with the smallest configuration and the files that it names."""
    (tmp_path / "config.yaml").write_text(yaml_block("Configure"), encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "lima-sk").write_text("sk\n", encoding="utf-8")
    trustme.CA().cert_pem.write_to_path(tmp_path / "lima-ca.pem")
    return tmp_path


def test_the_smallest_configuration_is_valid(configured: Path) -> None:
    """With one server and forty VDNs."""
    config = load(configured / "config.yaml", {})
    assert [server.name for server in config.servers] == ["lima"]
    assert len(config.targets) == 40


@pytest.mark.real
def test_installing_and_checking_as_the_readme_says(configured: Path) -> None:
    """Into an empty folder, from the lock file; then the installed command checks the example."""
    prefix = configured / "opt"
    environ = clean_environment({"PIP_COMPILE": "0"})
    for command in commands("Install"):
        words = shlex.split(command.replace("/opt/agent-rest-exporter", str(prefix)))
        subprocess.run(words, check=True, cwd=ROOT, capture_output=True, env=environ)
    check, serve = commands("Configure")
    assert shlex.split(serve)[:2] == ["agent-rest-exporter", "serve"]
    program, *arguments = shlex.split(check)
    done = subprocess.run(
        [prefix / "bin" / program, *arguments],
        check=True,
        cwd=configured,
        capture_output=True,
        env=environ,
        text=True,
    )
    assert done.stdout.splitlines()[0] == "config.yaml: valid"


def test_the_two_targets_of_make_exist() -> None:
    """The README begins with `make demo` and `make test`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands("Try it") == ["make demo", "make test"]
    for command in commands("Try it"):
        assert f"\n{command.split()[1]}:" in makefile


@pytest.mark.real
def test_prometheus_takes_the_scrape_configuration(promtool: str, tmp_path: Path) -> None:
    """Unchanged."""
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml_block("Connect Prometheus"), encoding="utf-8")
    done = subprocess.run(
        [promtool, "check", "config", "--lint-fatal", file],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("query", commands("Connect Prometheus"))
def test_the_queries_are_promql(query: str) -> None:
    """In the usual format."""
    assert promql_parser.parse(query).prettify() == query
