#!/bin/sh
# An agent in shell, which `orchestrator agent run` starts for every task:
#
#   orchestrator agent run --agent faq_agent -- sh examples/agent.sh
#
# The task is on stdin; what stdout gets is the result, what stderr gets is the log.
set -eu

task=$(cat)
echo "task $ORCHESTRATOR_TASK_ID has ${#task} characters" >&2

case $task in
*'"simulate":"outage"'*)
    echo "the service behind is away" >&2
    exit 75 # try again later
    ;;
*'"simulate":"mistake"'*)
    echo "such a task cannot be done" >&2
    exit 1 # failed for good
    ;;
esac

echo "::progress 50 half of the work" >&2
printf '{"characters": %s, "attempt": %s}\n' "${#task}" "$ORCHESTRATOR_ATTEMPT"
