"""`serve` with `--web.config.file`: TLS and a password, with a real Prometheus."""

import ssl
from pathlib import Path

import bcrypt
import httpx
import pytest
import trustme

from tests.support.cms_peer import Step, listening
from tests.support.processes import (
    MEASURED,
    free_port,
    query,
    run,
    scraping_prometheus,
    serving_exporter,
    until,
)

pytestmark = [pytest.mark.anyio, pytest.mark.peers]

PASSWORD = "canary-password"


def protected(folder: Path, port: int) -> tuple[Path, Path, trustme.CA]:
    """A configuration, a web configuration with TLS and one user, and the CA."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "web.pem")
    (folder / "config.yaml").write_text(
        f"""
        cms:
          - url: http://127.0.0.1:{port}
            interval: 300s
            timeout: 200s
            targets: [{{ccId: 1, vdn: 1}}]
        """,
        encoding="utf-8",
    )
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(
        f"""
        tls_server_config: {{cert_file: web.pem, key_file: web.pem}}
        basic_auth_users: {{prometheus: "{digest}"}}
        """,
        encoding="utf-8",
    )
    return folder / "config.yaml", folder / "web.yml", ca


async def test_metrics_need_a_password_and_health_does_not(tmp_path: Path) -> None:
    """Over TLS; a real Prometheus with the password scrapes, and one without does not."""
    port = free_port()
    config, web, ca = protected(tmp_path, port)
    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with (
        # so that the first round is not over before readiness is asked for, whenever it is due
        listening(Step(then="hang"), port=port),
        serving_exporter(config, f"--web.config.file={web}", environ=MEASURED) as exporter,
        httpx.AsyncClient(
            base_url=f"https://{exporter.address}", verify=context, trust_env=False
        ) as client,
    ):
        for path in ("/metrics", "/", "/api/v1/targets", "/-/reload"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.get("/-/healthy")).status_code == 200
        assert (await client.get("/-/ready")).status_code == 503
        wrong = await client.get("/metrics", auth=("prometheus", "guess"))
        assert wrong.status_code == 401
        right = await client.get("/metrics", auth=("prometheus", PASSWORD))
        assert right.status_code == 200
        assert "agent_rest_exporter_build_info" in right.text
        job = f"""
            scheme: https
            tls_config: {{ca_file: {tmp_path / "ca.pem"}}}
            static_configs: [{{targets: ["{exporter.address}"]}}]"""
        scrape = f"""
        global: {{scrape_interval: 1s, scrape_timeout: 1s}}
        scrape_configs:
          - job_name: without{job}
          - job_name: with{job}
            basic_auth: {{username: prometheus, password: {PASSWORD}}}
        """
        async with scraping_prometheus(tmp_path / "prometheus", scrape) as prometheus:

            async def one_is_let_in() -> bool:
                up = await query(prometheus, "sum by (job) (up)")
                return up == {frozenset({("job", "with")}): 1, frozenset({("job", "without")}): 0}

            await until(one_is_let_in)
        assert await exporter.stop() == 0
    assert PASSWORD not in "\n".join(exporter.lines)


def test_a_bad_web_configuration_keeps_it_from_starting(tmp_path: Path) -> None:
    """One line with the place, and status 2: it must never serve in the open by mistake."""
    config, web, _ = protected(tmp_path, 9)
    web.write_text(f"basic_auth_users:\n  prometheus: {PASSWORD}\n", encoding="utf-8")
    done = run("serve", f"--config.file={config}", f"--web.config.file={web}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{web}:2:15: basic_auth_users: must be a bcrypt hash (create one with `htpasswd -nBC 10 "
        "NAME`), not a password\n"
    )
