// What the app's identity may do on the ACS resource.

param communicationName string
param appPrincipalId string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: communicationName
}

@description('Communication and Email Service Owner: start, stop, pause and resume recordings, and fetch their files. ACS has no narrower built-in role with data-plane access.')
resource control 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: communication
  name: guid(communication.id, appPrincipalId, '09976791-48a7-449e-bb21-39d1a415f350')
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '09976791-48a7-449e-bb21-39d1a415f350')
  }
}
