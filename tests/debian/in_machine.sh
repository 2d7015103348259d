#!/bin/bash
# Runs in a booted Debian: installs, starts, reloads, upgrades, removes and purges the package.
# Each step prints a line: "ok NAME", or "not ok NAME" with the command that failed.
# /packages has the package that is tested, new.deb, and an older build of it, old.deb.
set -u
service=agent-rest-exporter
config=/etc/agent-rest-exporter/config.yaml
url=http://127.0.0.1:10072
export DEBIAN_FRONTEND=noninteractive

step() { # NAME FUNCTION
    local output
    # not in the condition of an `if`: bash would ignore set -e in all of it
    output=$( (set -eux; "$2") 2>&1)
    # shellcheck disable=SC2181
    if [ $? = 0 ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        echo "$output" | tail -n 25
        systemctl status --no-pager $service 2>&1 | tail -n 15
    fi
}

within() { # SECONDS COMMAND...: until it succeeds
    { set +x; } 2>/dev/null
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not within the time: $*"; return 1; }
        sleep 0.3
    done
    set -x
}

fails() { # COMMAND...: set -e ignores a command behind a `!`
    if "$@"; then return 1; fi
}

exported() { curl --silent --fail "$url/metrics" | grep --quiet --fixed-strings "$1"; }
logged() { journalctl --unit=$service | grep --quiet --fixed-strings "$1"; }
main_pid() { systemctl show --property=MainPID --value $service; }

installed() {
    # an administrator may have made the group before
    groupadd --system agent-rest-exporter
    apt-get install --yes --no-install-recommends /packages/old.deb
    agent-rest-exporter --version | grep --fixed-strings 0.0.1
    getent passwd agent-rest-exporter | grep /usr/sbin/nologin
    [ "$(stat --format=%U:%a /etc/agent-rest-exporter/secrets)" = root:700 ]
    systemctl is-enabled $service
}

waits_for_its_configuration() {
    [ "$(systemctl is-failed $service)" = inactive ]
    systemctl start $service
    [ "$(systemctl show --property=ConditionResult --value $service)" = no ]
    [ "$(systemctl show --property=ActiveState --value $service)" = inactive ]
}

started() {
    # the default keys of the simulator
    systemd-run --unit=cms /usr/bin/agent-rest-exporter simulate
    (umask 077; echo not-a-real-secret > /etc/agent-rest-exporter/secrets/lima-sk)
    cat > $config <<'YAML'
cms:
  - name: lima
    url: http://127.0.0.1:28443
    interval: 1s
    auth:
      access_key: AKEXAMPLE0001
      secret_key_file: /run/credentials/agent-rest-exporter.service/secrets_lima-sk
    targets:
      - {ccId: 1, vdn: 1}
YAML
    systemctl start $service
    within 120 agent-rest-exporter healthcheck
    within 120 exported 'agent_rest_up{cc_id="1",cms="lima",vdn="1"} 1.0'
    [ "$(ps -o user:32= -p "$(main_pid)")" = agent-rest-exporter ]
}

flags_come_from_etc_default() {
    echo AGENT_REST_EXPORTER_WEB_LISTEN_ADDRESS=127.0.0.1:10072,127.0.0.1:10073 \
        >> /etc/default/agent-rest-exporter
    systemctl restart $service
    within 120 curl --silent --fail http://127.0.0.1:10073/-/healthy
}

reloaded() {
    local before
    before=$(main_pid)
    sed -i 's/vdn: 1}/vdn: 1-2}/' $config
    systemctl reload $service
    within 120 exported 'agent_rest_up{cc_id="1",cms="lima",vdn="2"} 1.0'
    sed -i 's/vdn: 1-2}/vdn: 99999}/' $config
    systemctl reload $service
    within 120 exported 'agent_rest_exporter_config_last_reload_successful 0.0'
    exported 'agent_rest_up{cc_id="1",cms="lima",vdn="2"} 1.0'
    sed -i 's/vdn: 99999}/vdn: 1-2}/' $config
    [ "$(main_pid)" = "$before" ]
}

upgraded() {
    local before
    before=$(main_pid)
    apt-get install --yes --no-install-recommends /packages/new.deb
    within 120 exported 'agent_rest_up{cc_id="1",cms="lima",vdn="2"} 1.0'
    [ "$(main_pid)" != "$before" ]
    # what the administrator has changed stays
    curl --silent --fail http://127.0.0.1:10073/-/healthy
    exported "version=\"$(cat /packages/version)\""
}

documented() {
    local warnings
    warnings=$(MANROFFSEQ='' LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z \
        /usr/share/man/man1/agent-rest-exporter.1.gz 2>&1 >/dev/null)
    [ -z "$warnings" ]
    man agent-rest-exporter | grep --fixed-strings -e --web.listen-address
    bash -c 'source /usr/share/bash-completion/completions/agent-rest-exporter
        complete -p agent-rest-exporter'
    (cd /usr/share/doc/agent-rest-exporter && ls README.Debian examples/config.example.yaml \
        examples/prometheus/rules/agent-rest-floor.yaml examples/grafana/agent-rest-floor.json)
    systemd-analyze verify /lib/systemd/system/agent-rest-exporter.service
}

confined() {
    # the user cannot read the secrets in place, nor write anywhere
    fails runuser -u agent-rest-exporter -- cat /etc/agent-rest-exporter/secrets/lima-sk
    grep '^NoNewPrivs:.*1$' "/proc/$(main_pid)/status"
    grep '^CapEff:.*0000000000000000$' "/proc/$(main_pid)/status"
    logged 'agent-rest-exporter has started'
    fails logged not-a-real-secret
}

runbooks_work() {
    # the command of every runbook, as printed there: with the service's user, secrets and flags
    local printed
    # shellcheck disable=SC1090
    source <(sed --quiet '/^# systemd/,/^```$/p' /packages/shell.md | sed '1d;$d')
    exporter check --live
    systemctl stop $service
    printed=$(exporter check)
    [[ $printed = *"$config: valid"* ]]
    exporter query --cms=lima --cc-id=1 --vdn=1
    fails exporter healthcheck
    logs | grep --fixed-strings 'has started'
    [ -z "$(find /run/credentials -name 'agent-rest-[0-9]*')" ]
    systemctl start $service
    within 120 curl --silent --fail http://127.0.0.1:10073/-/healthy
}

a_missing_secret_is_named() {
    mv /etc/agent-rest-exporter/secrets/lima-sk /root/
    systemctl restart $service || true
    within 30 systemctl is-failed $service
    within 30 logged 'secrets_lima-sk cannot be read: no such file'
    mv /root/lima-sk /etc/agent-rest-exporter/secrets/
    systemctl reset-failed $service
    systemctl start $service
}

removed() {
    apt-get remove --yes agent-rest-exporter
    fails systemctl is-active $service
    fails pgrep -u agent-rest-exporter
    [ ! -e /usr/lib/agent-rest-exporter ]
    [ ! -e /usr/bin/agent-rest-exporter ]
    [ -e $config ]
    [ -e /etc/agent-rest-exporter/secrets/lima-sk ]
}

installed_again() {
    apt-get install --yes --no-install-recommends /packages/new.deb
    within 120 systemctl is-active $service
    within 120 curl --silent --fail http://127.0.0.1:10073/-/healthy
}

purged() {
    apt-get purge --yes agent-rest-exporter
    fails systemctl is-active $service
    [ -z "$(find /etc /usr /lib /var/lib /run -xdev -name '*agent-rest*' ! -path '/var/lib/dpkg/*' \
        ! -path '/run/systemd/transient/*')" ]
    fails dpkg --status agent-rest-exporter
    # as is usual for a system user
    getent passwd agent-rest-exporter
}

for name in installed waits_for_its_configuration started flags_come_from_etc_default reloaded \
    upgraded documented confined runbooks_work a_missing_secret_is_named removed installed_again \
    purged; do
    step $name $name
done
