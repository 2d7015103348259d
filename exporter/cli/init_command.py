"""The flags of `init`. See `commands`."""

from typing import Final

import click

from exporter.cli.flags import Command, Flag, Parsed

_PATH: Final = click.Path(dir_okay=False)

INIT: Final = Command(
    "init",
    "Find out how a server wants to be asked, and write a configuration.",
    {
        "Configuration": [
            Flag("config.file", "The new file; nothing is overwritten.", "config.yaml", _PATH),
            Flag(
                "write-anyway",
                "Write the file even if the server cannot be polled, with what is known.",
                is_flag=True,
            ),
        ],
        "Server": [
            Flag(
                "url",
                "Address of the server. What is missing here is asked at a terminal.",
                metavar="URL",
            ),
            Flag("name", "Value of the label cms. Default: host:port of the URL.", metavar="NAME"),
            Flag("tls.ca-file", "CA of the server's certificate (PEM).", type=_PATH),
            Flag("tls.server-name", "Name in the server's certificate.", metavar="NAME"),
            Flag("tls.cert-file", "Client certificate, if it requires one (PEM).", type=_PATH),
            Flag("tls.key-file", "Its private key, if in a file of its own (PEM).", type=_PATH),
        ],
        "Authorization": [
            Flag("access-key", "Access key. Without it, requests are not signed.", metavar="KEY"),
            Flag("secret-key-file", "File with the secret key.", type=_PATH),
            Flag(
                "secret-key-variable",
                "Environment variable with the secret key, also when the exporter runs.",
                metavar="VARIABLE",
            ),
            Flag(
                "authorization-file",
                "File with the complete Authorization header, instead of keys.",
                type=_PATH,
            ),
            Flag(
                "authorization-variable",
                "Environment variable with that header, also when the exporter runs.",
                metavar="VARIABLE",
            ),
        ],
        "Targets": [
            Flag(
                "cc-id",
                "ID of the call center.",
                type=Parsed("number", "exporter.cli.query:parse_cc_id"),
            ),
            Flag(
                "vdn",
                "IDs of VDNs, such as 1-40 or 1,5,9-12.",
                type=Parsed("numbers", "exporter.cli.init_answers:parse_numbers"),
            ),
        ],
    },
    arguments=[click.Argument(["file"], type=_PATH, required=False)],
)
