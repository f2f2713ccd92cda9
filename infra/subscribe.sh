#!/bin/sh
# Deploy the Event Grid subscriptions: azd runs this after each deployment, and `azd hooks run postdeploy` at any time.
# subscriptions.bicepparam reads their parameters from the azd environment.
set -eu

fail() {
    echo "$1 The app is deployed, but no event reaches it yet. See docs/deploy-upgrade.md#subscribing-failed" >&2
    exit 1
}

az account show --output none || fail 'The Azure CLI is not signed in (azd auth login does not sign it in): run az login.'

tries=6
until said=$(az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$EVENTS_GROUP" \
    --name recording-subscriptions \
    --parameters infra/subscriptions.bicepparam \
    --output none 2>&1)
do
    printf '%s\n' "$said" >&2
    # Event Grid finds a function only some time after its deployment. Waiting helps with no other failure.
    case $said in
        *'Destination endpoint not found'*) ;;
        *) fail 'Event Grid was not subscribed.' ;;
    esac
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail 'Event Grid does not find the function receive_event.'
    echo 'Event Grid does not find the function yet; the next try is in 30 s.' >&2
    sleep 30
done
