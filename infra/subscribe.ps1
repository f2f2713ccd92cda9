# Deploy the Event Grid subscriptions (subscriptions.bicepparam), as subscribe.sh does elsewhere.

# A function can be seen by Event Grid some time after its deployment: ask again for a few minutes.
for ($try = 1; $try -le 6; $try++) {
    az deployment group create `
        --subscription "$env:AZURE_SUBSCRIPTION_ID" `
        --resource-group "$env:EVENTS_GROUP" `
        --name recording-subscriptions `
        --parameters infra/subscriptions.bicepparam `
        --output none
    if ($LASTEXITCODE -eq 0) { exit 0 }
    if ($try -lt 6) {
        Write-Warning 'Event Grid could not be subscribed yet; the next try is in 30 s.'
        Start-Sleep -Seconds 30
    }
}
Write-Error 'The app is deployed, but no event reaches it yet. See docs/operations.md#subscribing-failed'
exit 1
