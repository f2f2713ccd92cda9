// What ACS reports of its recordings to Azure Monitor: ACSCallRecordingSummary has a row of each recording that it made,
// ACSCallRecordingIncomingOperations one of each request. In the resource group of the ACS resource.

param communicationName string
param workspaceId string

@description('A resource takes up to five settings; an existing one may have others, also of other deployments of this app.')
param settingName string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: communicationName
}

resource recordings 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: communication
  name: settingName
  properties: {
    workspaceId: workspaceId
    // Into tables of their own, which is where they are looked for.
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'CallRecordingSummary'
        enabled: true
      }
      {
        category: 'CallRecordingOperational'
        enabled: true
      }
    ]
  }
}
