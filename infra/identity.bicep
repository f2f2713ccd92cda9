// Two identities: one may read recordings, the other may only write undeliverable events.

param location string
param tags object
@minLength(13)
param token string

@description('The function app: storage, queue, ACS, telemetry.')
resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-app-${token}'
  location: location
  tags: tags
}

@description('Event Grid, for dead-lettering only. User-assigned, because a topic in the global location, such as that of ACS, has no system-assigned one.')
resource eventGrid 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-events-${token}'
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output eventGridId string = eventGrid.id
output eventGridPrincipalId string = eventGrid.properties.principalId
