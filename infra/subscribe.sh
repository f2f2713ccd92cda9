#!/bin/sh
# Deploy the Event Grid subscriptions (subscriptions.bicep): azd runs this after each deployment, and
# `azd hooks run postdeploy` at any time. All values are outputs of main.bicep, none is a secret.
set -eu

# A function can be seen by Event Grid some time after its deployment: ask again for a few minutes.
tries=6
until az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$EVENTS_GROUP" \
    --name recording-subscriptions \
    --template-file infra/subscriptions.bicep \
    --parameters \
        topicName="$EVENTS_TOPIC_NAME" \
        functionAppId="$FUNCTION_APP_ID" \
        deadLetterAccountId="$STORAGE_ACCOUNT_ID" \
        deadLetterContainer="$DEAD_LETTER_CONTAINER" \
        eventGridIdentityId="$EVENTS_IDENTITY_ID" \
        eventTimeToLiveInMinutes="${EVENT_MINUTES_TO_LIVE:-720}" \
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
