// The recordings that ACS reports to Azure Monitor: ACSCallRecordingSummary has a row for each recording that it made,
// ACSCallRecordingIncomingOperations one for each request. Deployed to the resource group of the ACS resource.

param communicationName string
param workspaceId string

@description('A resource can have up to five diagnostic settings; an existing one may have others, including those of other deployments of this app.')
param settingName string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: communicationName
}

resource recordings 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: communication
  name: settingName
  properties: {
    workspaceId: workspaceId
    // Into dedicated tables, which the queries read.
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
