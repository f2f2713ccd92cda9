# Deploy the Event Grid subscriptions (subscriptions.bicep), as subscribe.sh does elsewhere.
# All values are outputs of main.bicep, none is a secret.
$minutes = if ($env:EVENT_MINUTES_TO_LIVE) { $env:EVENT_MINUTES_TO_LIVE } else { '720' }

# A function can be seen by Event Grid some time after its deployment: ask again for a few minutes.
for ($try = 1; $try -le 6; $try++) {
    az deployment group create `
        --subscription "$env:AZURE_SUBSCRIPTION_ID" `
        --resource-group "$env:EVENTS_GROUP" `
        --name recording-subscriptions `
        --template-file infra/subscriptions.bicep `
        --parameters `
            topicName="$env:EVENTS_TOPIC_NAME" `
            functionAppId="$env:FUNCTION_APP_ID" `
            deadLetterAccountId="$env:STORAGE_ACCOUNT_ID" `
            deadLetterContainer="$env:DEAD_LETTER_CONTAINER" `
            eventGridIdentityId="$env:EVENTS_IDENTITY_ID" `
            eventTimeToLiveInMinutes="$minutes" `
        --output none
    if ($LASTEXITCODE -eq 0) { exit 0 }
    if ($try -lt 6) {
        Write-Warning 'Event Grid could not be subscribed yet; the next try is in 30 s.'
        Start-Sleep -Seconds 30
    }
}
Write-Error 'The app is deployed, but no event reaches it yet. See docs/operations.md#subscribing-failed'
exit 1
