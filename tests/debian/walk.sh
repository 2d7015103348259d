#!/bin/bash
# Runs in a booted Debian: a stranger's way from the package to an alert, by the commands of
# docs/install.md, which the test has put beside it. Prints "NAME SECONDS" for each place reached.
# There is no network: Prometheus and Alertmanager are installed already, with Debian's own
# configuration, and the server is simulated.
set -eu
cd /packages
export DEBIAN_FRONTEND=noninteractive
echo 'APT::Get::Assume-Yes "true";' > /etc/apt/apt.conf.d/90yes
# without an address of its own, a member of a cluster does not start
echo 'ARGS="--cluster.listen-address="' >> /etc/default/prometheus-alertmanager

reached() { # NAME COMMAND...: wait for it, and print the seconds since the start
    local name=$1
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt 900 ] || { echo "not within the time: $name"; exit 1; }
        sleep 1
    done
    echo "$name $SECONDS"
}
found() { # URL TEXT
    curl --silent --fail "$1" | grep --quiet --fixed-strings "$2"
}

SECONDS=0
bash -eux install.sh >/dev/null
reached installed agent-rest-exporter --version
# VDN 3 fails
systemd-run --quiet --unit=cms agent-rest-exporter simulate --scenario=api-error=0100001@1/3
echo not-a-real-secret | bash -eux secret.sh
cp config.yaml /etc/agent-rest-exporter/config.yaml
bash -eux start.sh
reached metrics found http://127.0.0.1:10072/metrics 'agent_rest_resting_agents{cc_id="1",cms="lima",vdn="1"}'
bash -eux prometheus.sh >/dev/null
reached stored found 'http://127.0.0.1:9090/api/v1/query?query=agent_rest_up' '"vdn":"1"'
reached alert found http://127.0.0.1:9093/api/v2/alerts '"alertname":"AgentRestTargetDown"'
