# Deploy the Event Grid subscriptions (subscriptions.bicepparam), as subscribe.sh does elsewhere.

function Fail($reason) {
    $next = 'The app is deployed, but no event reaches it yet. See docs/deploy-upgrade.md#subscribing-failed'
    [Console]::Error.WriteLine("$reason $next")
    exit 1
}

az account show --output none
if ($LASTEXITCODE -ne 0) { Fail 'The Azure CLI is not signed in (azd auth login does not sign it in): run az login.' }

for ($try = 1; $try -le 6; $try++) {
    $said = az deployment group create `
        --subscription "$env:AZURE_SUBSCRIPTION_ID" `
        --resource-group "$env:EVENTS_GROUP" `
        --name recording-subscriptions `
        --parameters infra/subscriptions.bicepparam `
        --output none 2>&1 | Out-String
    if ($LASTEXITCODE -eq 0) { exit 0 }
    [Console]::Error.WriteLine($said)
    # Event Grid finds a function only some time after its deployment. Waiting helps with no other failure.
    if ($said -notlike '*Destination endpoint not found*') { Fail 'Event Grid was not subscribed.' }
    if ($try -lt 6) {
        [Console]::Error.WriteLine('Event Grid does not find the function yet; the next try is in 30 s.')
        Start-Sleep -Seconds 30
    }
}
Fail 'Event Grid does not find the function receive_event.'
