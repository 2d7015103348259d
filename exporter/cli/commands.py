"""Every command and flag: names, help and defaults. What a command does is in a module of its name.

Parsers of values are named, not imported: help and completion need only this file.
"""

from typing import Final

import click

from exporter import __version__
from exporter.cli.flags import Command, FileName, Flag, Level, Parsed, Program, show_help

PROGRAM: Final = "agent-rest-exporter"
COMPLETION_VARIABLE: Final = "_AGENT_REST_EXPORTER_COMPLETE"
"""Set by click's completion scripts."""
ACCESS_KEY: Final = "AKEXAMPLE0001"
SECRET_KEY: Final = "not-a-real-secret"  # noqa: S105  # only the simulator accepts it

_PATH: Final = FileName()
_DURATION: Final = Parsed("duration", "exporter.durations:parse_duration")
_TCP: Final = Parsed("address", "exporter.web.listening.addresses:Address.parse")
_NAMED: Final = Parsed(
    "scenario",
    "exporter.simulator.scenarios:parse_scenario",
    "exporter.simulator.scenarios:KINDS",
)

_FILE: Final = click.Argument(["file"], type=_PATH, required=False)
_CONFIG_FILE: Final = Flag("config.file", "Configuration file.", "config.yaml", _PATH)
_TELEMETRY_PATH: Final = Flag(
    "web.telemetry-path", "Path to serve metrics on.", "/metrics", metavar="PATH"
)
_KEY_FILE: Final = Flag(
    "tls.key-file",
    "Private key of the certificate (PEM). Default: in the certificate's file.",
    type=_PATH,
)
_JSON: Final = Flag("json", "Print JSON, for scripts.", is_flag=True)
_SCENARIO: Final = Flag(
    "scenario",
    "What happens on the floor, or what fails: NAME[=VALUE][@ccId/vdn], such as lunch-rush, "
    f"slow=5s or api-error=0100003@1/7. `{PROGRAM} simulate --list` lists all scenarios.",
    type=_NAMED,
    multiple=True,
)
_SEED: Final = Flag(
    "seed",
    "Seed of the simulated agents and days.",
    "0",
    Parsed("number", "exporter.cli.simulate:whole_number"),
)
_LOGGING: Final = [
    Flag("log.level", "Minimum level to log.", "info", Level()),
    Flag(
        "log.format", "Format of log lines on stderr.", "logfmt", click.Choice(("logfmt", "json"))
    ),
]


def _shard(summary: str) -> Flag:
    return Flag(
        "shard",
        f"{summary}. INDEX starts at 0; auto takes the number at the end of $POD_NAME or, if "
        "unset, of the host name.",
        "0/1",
        Parsed("index/total", "exporter.config.shard:Shard.here"),
    )


_SERVE: Final = Command(
    "serve",
    "Poll the configured targets and serve their metrics.",
    {
        "Configuration": [
            _CONFIG_FILE,
            Flag(
                "config.auto-reload-interval",
                "How often to check the configuration's files for changes; 0 disables it. SIGHUP "
                "reloads at once.",
                "30s",
                _DURATION,
            ),
            _shard("Poll only this share of the targets"),
        ],
        "Web": [
            Flag(
                "web.listen-address",
                "Address to serve metrics and pages on: HOST:PORT, :PORT for every address of "
                "this host, or unix:PATH.",
                ":10072",
                Parsed("address", "exporter.web.listening.addresses:parse_endpoint"),
                multiple=True,
            ),
            Flag(
                "web.config.file",
                "File with TLS, passwords and headers for the exporter's own pages, in the format "
                "of Prometheus' exporter-toolkit.",
                type=_PATH,
            ),
            _TELEMETRY_PATH,
            Flag(
                "web.max-requests",
                "Maximum number of requests in progress; further ones get 503. 0 disables the "
                "limit.",
                "40",
                click.IntRange(min=0),
                metavar="COUNT",
            ),
            Flag(
                "web.systemd-socket",
                "Listen on the sockets that systemd opened (socket activation) instead of "
                "--web.listen-address.",
                is_flag=True,
            ),
        ],
        "Logging": _LOGGING,
    },
    arguments=[_FILE],
    reloads=True,
)
_CHECK: Final = Command(
    "check",
    "Validate the configuration and predict the load it causes.",
    {
        "Configuration": [_CONFIG_FILE],
        "Checks": [
            Flag(
                "live",
                "Also poll every target once, and explain failures.",
                is_flag=True,
            ),
            Flag(
                "cms",
                "Limit the prediction and --live to this server. The whole configuration is "
                "validated in any case.",
                metavar="NAME",
                multiple=True,
            ),
            _shard("Also count the targets of this share"),
        ],
        "Output": [_JSON],
    },
    arguments=[_FILE],
)
_QUERY: Final = Command(
    "query",
    "Poll one target now and show its counters and rows.",
    {
        "Configuration": [_CONFIG_FILE],
        "Target": [
            Flag(
                "cms",
                "Name of the server. Required if the configuration has several.",
                metavar="NAME",
            ),
            Flag(
                "cc-id",
                "ID of the call center.",
                type=Parsed("number", "exporter.cli.target_flags:parse_cc_id"),
                required=True,
            ),
            Flag(
                "vdn",
                "ID of the VDN. It does not have to be in the configuration.",
                type=Parsed("number", "exporter.cli.target_flags:parse_vdn"),
                required=True,
            ),
        ],
        "Output": [
            Flag(
                "watch",
                "Repeat until Ctrl-C: every 5s, or at this interval.",
                type=Parsed("interval", "exporter.cli.query:parse_interval"),
                is_flag=False,
                flag_value="5s",
            ),
            Flag(
                "raw",
                "Show the requests and replies, with names, keys and signatures masked.",
                is_flag=True,
            ),
            Flag(
                "record",
                "Write the requests and replies to this new file for a bug report, without names, "
                "keys, hosts and times. `simulate --replay` serves it.",
                type=_PATH,
            ),
            Flag(
                "explain-signature",
                "Show how the request is signed, without sending it. Secrets are masked.",
                is_flag=True,
            ),
            Flag("show-names", "Show agents' full names.", is_flag=True),
            _JSON,
        ],
    },
)
_INIT: Final = Command(
    "init",
    "Try a server to find the right settings, and write a configuration.",
    {
        "Configuration": [
            Flag("config.file", "File to write; it must not exist.", "config.yaml", _PATH),
            Flag(
                "write-anyway",
                "Write the file even if the server cannot be polled.",
                is_flag=True,
            ),
        ],
        "Server": [
            Flag(
                "url",
                "Address of the server. On a terminal, init asks for missing options.",
                metavar="URL",
            ),
            Flag("name", "Value of the label cms. Default: host:port of the URL.", metavar="NAME"),
            Flag("tls.ca-file", "CA of the server's certificate (PEM).", type=_PATH),
            Flag("tls.server-name", "Name in the server's certificate.", metavar="NAME"),
            Flag(
                "tls.cert-file", "Client certificate, if the server requires one (PEM).", type=_PATH
            ),
            _KEY_FILE,
        ],
        "Authorization": [
            Flag("access-key", "Access key. Without it, requests are not signed.", metavar="KEY"),
            Flag("secret-key-file", "File with the secret key.", type=_PATH),
            Flag(
                "secret-key-variable",
                "Environment variable with the secret key; serve needs it too.",
                metavar="VARIABLE",
            ),
            Flag(
                "authorization-file",
                "File with a complete Authorization header, instead of keys.",
                type=_PATH,
            ),
            Flag(
                "authorization-variable",
                "Environment variable with that header; serve needs it too.",
                metavar="VARIABLE",
            ),
        ],
        "Targets": [
            Flag(
                "cc-id",
                "ID of the call center.",
                type=Parsed("number", "exporter.cli.target_flags:parse_cc_id"),
            ),
            Flag(
                "vdn",
                "IDs of VDNs, such as 1-40 or 1,5,9-12.",
                type=Parsed("numbers", "exporter.cli.init_answers:parse_numbers"),
            ),
        ],
    },
    arguments=[_FILE],
)
_SIMULATE: Final = Command(
    "simulate",
    "Run a simulated CC-CMS, to rehearse alerts and failures.",
    {
        "Server": [
            Flag(
                "listen-address",
                "Address to listen on: HOST:PORT, or :PORT for every address of this host.",
                "127.0.0.1:28443",
                _TCP,
            ),
            Flag(
                "cti-version",
                "CTI version to simulate; 3.6 replies in pages.",
                "3.8",
                click.Choice(("3.6", "3.8")),
            ),
            Flag(
                "access-key",
                "Access key to accept; empty disables signature checks.",
                ACCESS_KEY,
            ),
            Flag("secret-key", "Secret key that belongs to the access key.", SECRET_KEY),
            Flag("tls.cert-file", "Serve HTTPS with this certificate (PEM).", type=_PATH),
            _KEY_FILE,
            Flag(
                "tls.make-ca",
                "Create a CA, serve HTTPS with a certificate that it signed, and write the CA's "
                "certificate (PEM) to this file. Needs the program openssl.",
                type=_PATH,
            ),
            Flag(
                "tls.days",
                "Number of days for which the certificate of --tls.make-ca is valid; with 0 it has "
                "expired.",
                "365",
                click.IntRange(0, 3650),
                metavar="DAYS",
            ),
        ],
        "Simulation": [
            _SCENARIO,
            _SEED,
            Flag(
                "speed",
                "Simulated seconds per second, at most 3600.",
                "1",
                Parsed("number", "exporter.cli.simulate:parse_speed"),
            ),
            Flag(
                "replay",
                "Serve the replies that `query --record` wrote to this file.",
                type=_PATH,
                multiple=True,
            ),
        ],
        "Output": [
            Flag(
                "request-log",
                "Append a line for each request to this file; - is stderr.",
                type=FileName(allow_dash=True),
            ),
            Flag("list", "List all scenarios and exit.", is_flag=True),
            Flag(
                "print-config",
                "Print an exporter configuration that matches these options and exit.",
                is_flag=True,
            ),
        ],
    },
)
_DEMO: Final = Command(
    "demo",
    "Show metrics of a simulated call center, without configuration.",
    {
        "Web": [
            Flag(
                "web.listen-address",
                "Address to serve metrics and pages on: HOST:PORT, or :PORT for every address of "
                "this host.",
                "127.0.0.1:10072",
                _TCP,
                multiple=True,
            ),
            _TELEMETRY_PATH,
        ],
        "Simulation": [_SCENARIO, _SEED],
        "Logging": _LOGGING,
    },
)
_HEALTHCHECK: Final = Command(
    "healthcheck",
    "Check whether a running exporter is healthy, for containers.",
    {
        "Request": [
            Flag(
                "url",
                "URL of the health page. Certificates are not verified.",
                "http://127.0.0.1:10072/-/healthy",
                Parsed("url", "exporter.cli.healthcheck:parse_url"),
            ),
            Flag(
                "timeout",
                "How long to wait for the reply.",
                "3s",
                Parsed("duration", "exporter.cli.healthcheck:parse_timeout"),
            ),
        ]
    },
)
_COMPLETION: Final = Command(
    "completion",
    "Print a script that completes commands and options in bash, zsh or fish.",
    arguments=[
        click.Argument(["shell"], metavar="SHELL", type=click.Choice(("bash", "zsh", "fish")))
    ],
    epilog=f"""\b
To load it, add the line for your shell to its startup file:
  source <({PROGRAM} completion bash)
  source <({PROGRAM} completion zsh)
  {PROGRAM} completion fish | source""",
)
COMMANDS: Final = (_SERVE, _CHECK, _QUERY, _INIT, _SIMULATE, _DEMO, _HEALTHCHECK, _COMPLETION)


def program() -> click.Command:
    """The whole command line."""
    group = Program(
        PROGRAM,
        commands=[*COMMANDS, show_help],
        help="Prometheus exporter for agents' rests in Huawei AICC/CEC call centers.",
        epilog="Exit status: 0 success, 1 failure at run time, 2 wrong usage or configuration; 130 "
        "or 143 if SIGINT or SIGTERM ended the command early. serve, demo, simulate and query "
        "--watch run until one of these signals, and then end with 0.",
        options_metavar="",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return click.version_option(__version__, "-V", "--version", message=f"{PROGRAM} %(version)s")(
        group
    )
