"""Tables and sentences on terminals of any width, and in pipes."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from exporter.cli.output import fitted, print_lines, say, table_lines


def terminal(width: int) -> Console:
    """A terminal without colour."""
    return Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, soft_wrap=True
    )


def printed(console: Console) -> list[str]:
    """The lines that it shows."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=7),
    st.integers(20, 200),
    st.sets(st.integers(0, 6)),
)
def test_columns_fit_if_they_can(widths: list[int], width: int, chosen: set[int]) -> None:
    """None gets wider, none loses more than it must, and only the chosen ones lose anything."""
    elastic = {column for column in chosen if column < len(widths)}
    for columns in (None, elastic):
        found = fitted(widths, width, columns)
        taken = sum(found) + 2 * (len(found) - 1)
        wanted = sum(widths) + 2 * (len(widths) - 1)
        free = {*range(len(widths))} if columns is None else columns
        assert all(new <= old for new, old in zip(found, widths, strict=True))
        assert all(found[n] == widths[n] for n in range(len(widths)) if n not in free)
        if taken > width:
            assert all(found[n] <= 4 for n in free)
        else:
            assert taken == min(wanted, width)


@given(
    st.lists(st.tuples(st.text("ab 客服", max_size=50), st.text("12", max_size=50)), min_size=1),
    st.integers(30, 100),
)
def test_tables_stay_within_a_terminal(rows: list[tuple[str, str]], width: int) -> None:
    """Whatever is in them: what is cut off ends with an ellipsis."""
    target = terminal(width)
    print_lines(target, table_lines(target, rows, ("NAME", "NUMBER"), {1}))
    lines = printed(target)
    assert len(lines) == len(rows) + 2
    assert max(map(cell_len, lines)) <= width
    print_lines(facts := terminal(width), table_lines(facts, [("name", text) for text, _ in rows]))
    assert max(map(cell_len, printed(facts))) <= width


def test_a_sentence_is_wrapped_at_words_on_a_terminal_only() -> None:
    """What follows is indented, so that one sentence can be told from the next."""
    sentence = "lima: ccId 1, vdn 7: the server 客服中心 does not answer"
    say(narrow := terminal(30), sentence)
    assert printed(narrow) == ["lima: ccId 1, vdn 7: the", "  server 客服中心 does not", "  answer"]
    pipe = Console(file=io.StringIO(), width=30, soft_wrap=True)
    say(pipe, sentence)
    assert printed(pipe) == [sentence]


def test_the_last_fact_is_wrapped_below_itself() -> None:
    """Unless the terminal is too narrow for any of it."""
    rows = [("waiting", "3", "one two three four five six seven"), ("resting", "10", "")]
    print_lines(narrow := terminal(30), table_lines(narrow, rows))
    assert printed(narrow) == [
        "waiting  3   one two three",
        "             four five six",
        "             seven",
        "resting  10",
    ]
    print_lines(tiny := terminal(20), table_lines(tiny, rows))
    assert printed(tiny)[-1] == "resting  10"


@pytest.mark.parametrize("width", [1, 4])
def test_a_terminal_without_room(width: int) -> None:
    """Is still written to."""
    target = terminal(width)
    say(target, "one two three")
    print_lines(target, table_lines(target, [("one", "two")], ("A", "B")))
    assert "two" in "".join(printed(target))
