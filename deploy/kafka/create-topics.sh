#!/bin/sh
# Creates the topics of topics.conf where they are missing. Those that exist are left as they are.
# usage: create-topics.sh <bootstrap servers> [replicas] [file for --command-config]
# Needs kafka-topics.sh of an Apache Kafka on the path.
set -eu
bootstrap=$1
replicas=${2:-3}
login=${3:+--command-config $3}
grep -v -e '^#' -e '^$' "$(dirname "$0")/topics.conf" | while read -r name partitions settings; do
  configs=
  for setting in $settings; do configs="$configs --config $setting"; done
  # shellcheck disable=SC2086 # each word is an argument
  kafka-topics.sh --bootstrap-server "$bootstrap" $login --create --if-not-exists \
    --topic "$name" --partitions "$partitions" --replication-factor "$replicas" $configs </dev/null
done
