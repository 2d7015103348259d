"""click, adapted: flags with their environment variables, commands that are imported when called.

Every import here costs each `--help`, each health check and each TAB of a completing shell.
"""

import os
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.core import ParameterSource

from exporter.cli.signals import Signals

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ENVIRONMENT_PREFIX: Final = "AGENT_REST_EXPORTER_"
_FIXED_HYPHEN: Final = "\u2011"
_EPILOG: Final = (
    "Options on the command line take precedence over environment variables. An empty variable "
    "is ignored. For an option that takes no value, any value except 0 or false enables it."
)
_REPEATABLE: Final = "Repeatable; in the environment variable, separated by commas."


class Parsed(click.ParamType[object]):
    """A value that a function makes of a text; it raises ValueError with a sentence.

    Args:
        name: what the help calls the value, in lower case.
        function: as `module:name`: it is imported when there is a value to parse.
        suggestions: what a shell offers, likewise.
    """

    def __init__(self, name: str, function: str, suggestions: str = "") -> None:
        self.name = name
        self._function = function
        self._suggestions = suggestions

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Parse it."""
        try:
            return pkgutil.resolve_name(self._function)(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[Any]]":
        """The suggestions that begin like that."""
        found = pkgutil.resolve_name(self._suggestions) if self._suggestions else ()
        return click.Choice(found).shell_complete(ctx, param, incomplete)


class FileName(click.Path):
    """The name of a file. `allow_dash` lets - stand for a stream."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, readable=False, allow_dash=allow_dash)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """The name as it was given."""
        if value == "":
            self.fail("the value is empty: name a file", param, ctx)
        return super().convert(value, param, ctx)


class Level(click.Choice[str]):
    """The levels of a log, also by the name that Prometheus has for one of them."""

    def __init__(self) -> None:
        super().__init__(("debug", "info", "warning", "error"))

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The level's name in Python."""
        return super().convert("warning" if value == "warn" else value, param, ctx)


class Flag(click.Option):
    """One flag, and the environment variable of its name.

    Args:
        name: without its two dashes.
        description: a sentence.
        default: as a user would write it; None if it may be left out or is required.
        type: click's type of its value; a text by default.
        options: click's own. With `multiple`, the variable has values separated by commas; on the
            command line, a comma belongs to the value.
    """

    envvar: str

    def __init__(
        self,
        name: str,
        description: str,
        default: str | None = None,
        type: click.ParamType[Any] | None = None,  # noqa: A002  # click's name for it
        **options: Any,
    ) -> None:
        dest = name.translate(str.maketrans(".-", "__"))
        if default is not None:
            options["default"] = [default] if options.get("multiple") else default
        super().__init__(
            [dest, f"--{name}"],
            type=type,
            help=f"{description} {_REPEATABLE}" if options.get("multiple") else description,
            envvar=ENVIRONMENT_PREFIX + dest.upper(),
            show_envvar=True,
            show_default=True,
            **options,
        )
        self.written_default = default
        self._value_is_optional = "flag_value" in options and options.get("is_flag") is False

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The flag and its text. A value that may be left out is in brackets."""
        record = super().get_help_record(ctx)
        if record is None or not self._value_is_optional:
            return record
        flag, _, metavar = record[0].partition(" ")
        return f"{flag}[={metavar}]", record[1]

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The variable's value; None if it is unset or empty."""
        text = self.resolve_envvar_value(ctx)
        if text is not None and self.is_flag:
            return text.lower() not in {"0", "false"}
        if text is not None and self.multiple:
            return [part.strip() for part in text.split(",")]
        return text

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """From text to value. For a shell's completion nothing is parsed: that must be fast."""
        if ctx.resilient_parsing:
            return value
        return super().type_cast_value(ctx, value)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What to correct: the flag, or the variable if the value came from there."""
        source = ctx.get_parameter_source(self.name) if ctx else None
        return self.envvar if source is ParameterSource.ENVIRONMENT else self.opts[0]


class Command(click.Command):
    """One command. The function `run` of the module of its name in exporter/cli is what it does.

    Args:
        name: as it is typed.
        summary: a sentence.
        groups: flags by the headings under which the help lists them.
        arguments: without a flag.
        reloads: whether a SIGHUP means a reload. It ends other commands.
        epilog: the end of the help.
    """

    def __init__(  # noqa: PLR0913  # each is a fact of its own
        self,
        name: str,
        summary: str,
        groups: Mapping[str, Sequence[Flag]] | None = None,
        *,
        arguments: Sequence[click.Argument] = (),
        reloads: bool = False,
        epilog: str = _EPILOG,
    ) -> None:
        self._groups = groups or {}
        self._reloads = reloads
        self.flags = tuple(flag for flags in self._groups.values() for flag in flags)
        super().__init__(
            name,
            params=[*arguments, *self.flags],
            help=summary,
            short_help=summary,
            epilog=epilog,
            options_metavar="[OPTIONS]" if self.flags else "",
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and let FILE be another way to write --config.file."""
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if file := ctx.params.pop("file", None):
            if ctx.get_parameter_source("config_file") is ParameterSource.COMMANDLINE:
                ctx.fail("--config.file and FILE are both given: use one of them")
            ctx.params["config_file"] = file
        return rest

    def invoke(self, ctx: click.Context) -> int:
        """Import what the command does, and do it. Gives the exit status."""
        signals: Signals = ctx.obj
        if not self._reloads:
            signals.end_on_hang_up()
        run = import_module(f"exporter.cli.{self.name}").run
        return int(run(signals, **ctx.params))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by group, each on its own line: long names leave no room for a column."""
        help_option = self.get_help_option(ctx)
        groups = {**self._groups, "Help": [help_option] if help_option else []}
        for title, options in groups.items():
            with formatter.section(title):
                for option in options:
                    head, text = option.get_help_record(ctx) or ("", "")
                    formatter.write(f"  {head}\n")
                    with formatter.indentation(), formatter.indentation():
                        # click puts two spaces between the sentence and the notes
                        for part in text.split("  "):
                            formatter.write_text(part.replace("-", _FIXED_HYPHEN))

    def get_help(self, ctx: click.Context) -> str:
        """The whole help. No name in it is broken at a hyphen."""
        return super().get_help(ctx).replace(_FIXED_HYPHEN, "-")


class Program(click.Group):
    """The program: its commands in the order of the help."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Not in the order of the alphabet."""
        return [*self.commands]


@click.command("help", short_help="Show the help of a command.")
@click.argument(
    "command",
    required=False,
    shell_complete=lambda ctx, param, incomplete: click.Choice(
        ctx.find_root().command.list_commands(ctx)
    ).shell_complete(ctx, param, incomplete),
)
@click.pass_context
def show_help(ctx: click.Context, command: str | None) -> int:
    """Show the help of a command."""
    shown = ctx.find_root()
    if command and isinstance(shown.command, Program):
        _, found, _ = shown.command.resolve_command(shown, [command])
        shown = click.Context(found, parent=shown, info_name=command) if found else shown
    click.echo(shown.get_help())
    return 0


def usage_error(error: click.UsageError, program: str) -> str:
    """One line about a command line that cannot be understood."""
    path = error.ctx.command_path if error.ctx else program
    text = " ".join(error.format_message().split()).rstrip(".").replace("'[FILE]': File", "FILE:")
    end = " See" if text.endswith(("?", "?)")) else "; see"
    return f"{path}: {text[:1].lower()}{text[1:]}{end} {path} --help"


def is_given(dest: str) -> bool:
    """Whether a flag of the running command was given, on the command line or by its variable."""
    source = click.get_current_context().get_parameter_source(dest)
    return source is not ParameterSource.DEFAULT


def refuse(problem: str) -> NoReturn:
    """End the running command: it was used wrongly."""
    raise click.UsageError(problem, click.get_current_context()) from None
