#!/bin/sh
# Deploy the Event Grid subscriptions: azd runs this after each deployment, and `azd hooks run postdeploy` at any
# time. What they are made of is in subscriptions.bicepparam, which reads the azd environment.
set -eu

# A function can be seen by Event Grid some time after its deployment: ask again for a few minutes.
tries=6
until az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$EVENTS_GROUP" \
    --name recording-subscriptions \
    --parameters infra/subscriptions.bicepparam \
    --output none
do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo 'The app is deployed, but no event reaches it yet. See docs/operations.md#subscribing-failed' >&2
        exit 1
    fi
    echo 'Event Grid could not be subscribed yet; the next try is in 30 s.' >&2
    sleep 30
done
