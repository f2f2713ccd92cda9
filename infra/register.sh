#!/bin/sh
# Register the two applications of /v1 in the tenant that the Azure CLI is signed in to (docs/entra.md#setting-it-up).
# Run it after the first `azd up`, with `eval "$(azd env get-values)"`; it can be repeated. It needs the role Application
# Administrator in the tenant.
set -eu

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}/v1.0
# The id of the delegated permission `access`; like those of app-roles.json it must be unique in its application only.
access=2d0cbb40-6f0c-4a34-9a0b-000000000006

# The client id of the application of this name, which is made if there is none.
application() {
    found=$(az ad app list --filter "displayName eq '$1'" --query '[0].appId' --output tsv)
    [ -n "$found" ] || found=$(az ad app create --display-name "$1" --sign-in-audience AzureADMyOrg --query appId --output tsv)
    az ad sp show --id "$found" --output none 2>/dev/null || az ad sp create --id "$found" --output none
    echo "$found"
}

change() {
    az rest --method PATCH --uri "$graph/applications(appId='$1')" --headers Content-Type=application/json --body "$2"
}

api=$(application "recordings-api-$AZURE_ENV_NAME")
page=$(application "recordings-page-$AZURE_ENV_NAME")

# An id token has the page's id as its audience, so that it can't pass as an access token. Without `idtyp` a service's
# token would not say that it is one.
change "$api" "{\"appRoles\": $(cat "$(dirname "$0")/app-roles.json"),
    \"optionalClaims\": {\"accessToken\": [{\"name\": \"idtyp\"}]},
    \"api\": {\"requestedAccessTokenVersion\": 2, \"oauth2PermissionScopes\": [{
        \"id\": \"$access\", \"value\": \"access\", \"type\": \"User\", \"isEnabled\": true,
        \"adminConsentDisplayName\": \"Use recordings\",
        \"adminConsentDescription\": \"Use recordings as the signed-in person\"}]}}"
# A permission can be named only once it exists.
change "$api" "{\"api\": {\"preAuthorizedApplications\": [{
    \"appId\": \"$page\", \"delegatedPermissionIds\": [\"$access\"]}]}}"
change "$page" "{\"spa\": {\"redirectUris\": [\"https://$FUNCTION_APP_HOST/\"]}}"
# Only people and services that were given a role get a token.
az ad sp update --id "$api" --set appRoleAssignmentRequired=true

azd env set ENTRA_TENANT_ID "$(az account show --query tenantId --output tsv)"
azd env set ENTRA_API_ID "$api"
azd env set ENTRA_PAGE_ID "$page"
echo "Registered the API $api and the page $page. Now run: azd provision"
