#!/bin/sh
# Print the names of a deployment as shell variables: eval "$(sh infra/names.sh production)".
# It asks Azure, so it works for anybody who is signed in (az login) and may read the deployment: no azd environment is
# needed. The names are those of main.bicep's outputs, with all that subscribe.sh needs.
set -eu

fail() {
    echo "$1" >&2
    exit 1
}

[ $# -eq 1 ] || fail 'Usage: sh infra/names.sh <azd environment, such as production>'
subscription=$(az account show --query id --output tsv) || fail 'The Azure CLI is not signed in: run az login.'
found=$(az resource list --tag "azd-env-name=$1" --query '[].[type, name, resourceGroup]' --output tsv)

# The value of a column of the first resource whose type and name match.
of() {
    printf '%s\n' "$found" | awk -F '\t' -v type="$1" -v name="$2" -v column="$3" \
        'tolower($1) == tolower(type) && $2 ~ name { print $column; exit }'
}

app=$(of Microsoft.Web/sites '^func-' 2)
[ -n "$app" ] || fail "There is no deployment $1 in this subscription: az account show says which one it is."
token=${app#func-}
group=$(of Microsoft.Web/sites '^func-' 3)
host=$(az functionapp show -g "$group" -n "$app" --query defaultHostName --output tsv)
principal=$(az identity show -g "$group" -n "id-app-$token" --query principalId --output tsv)
workspace=$(az monitor log-analytics workspace show -g "$group" -n "log-$token" --query customerId --output tsv)

resources=/subscriptions/$subscription/resourceGroups/$group/providers

cat <<VARIABLES
AZURE_SUBSCRIPTION_ID='$subscription'
AZURE_RESOURCE_GROUP='$group'
FUNCTION_APP_NAME='$app'
FUNCTION_APP_HOST='$host'
FUNCTION_APP_ID='$resources/Microsoft.Web/sites/$app'
V1_ADDRESS='https://$host/v1'
APP_PRINCIPAL_ID='$principal'
EVENTS_GROUP='$(of Microsoft.EventGrid/systemTopics . 3)'
EVENTS_TOPIC_NAME='$(of Microsoft.EventGrid/systemTopics . 2)'
EVENTS_IDENTITY_ID='$resources/Microsoft.ManagedIdentity/userAssignedIdentities/id-events-$token'
STORAGE_ACCOUNT_ID='$resources/Microsoft.Storage/storageAccounts/st$token'
STORAGE_ACCOUNT_NAME='st$token'
ARCHIVE_ACCOUNT_NAME='starc$token'
DERIVED_ACCOUNT_NAME='stdv$token'
STAGING_CONTAINER_NAME='recordings-staging'
ARCHIVE_CONTAINER_NAME='recordings-archive'
QUARANTINE_CONTAINER_NAME='recordings-quarantine'
DEAD_LETTER_CONTAINER='recordings-dead-letter'
LOG_WORKSPACE_ID='$workspace'
VARIABLES
