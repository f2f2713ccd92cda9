// Role assignments, one by one, each with its reason. The role on the ACS resource is in communication-roles.bicep,
// because that resource may be in another resource group.

param appPrincipalId string
param eventGridPrincipalId string
param storageAccountName string
param deadLetterContainer string
param archiveAccountName string
param archiveContainer string
param eraseVersions bool
param derivedAccountName string
param derivedContainer string
param insightsName string
param domainTopicName string

var role = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  'Storage Blob Delegator': 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
  'EventGrid Data Sender': 'd5a91429-5739-47e2-a06b-3470a27159e7'
}

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource deadLetters 'containers' existing = {
      name: deadLetterContainer
    }
  }
}

resource archive 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: archiveAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource recordings 'containers' existing = {
      name: archiveContainer
    }
  }
}

resource derived 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: derivedAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource files 'containers' existing = {
      name: derivedContainer
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource domainTopic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: domainTopicName
}

@description('The Functions host: timer leases, its keys, the deployment package. The app: the staging and quarantine containers, and the user delegation key that signs the source of a copy into the archive. The host requires Owner on the account of AzureWebJobsStorage.')
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appPrincipalId, role['Storage Blob Data Owner'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Data Owner'])
  }
}

@description('Receive, delete and send chunk jobs; the host moves poison messages, and creates the queues if they are missing.')
resource hostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appPrincipalId, role['Storage Queue Data Contributor'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Queue Data Contributor'])
  }
}

@description('The search index is a table. The host writes its diagnostic events to another; without this role the portal shows no reason when a host cannot start.')
resource hostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, appPrincipalId, role['Storage Table Data Contributor'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Table Data Contributor'])
  }
}

@description('Write, copy and read recordings, in their container only: not the account.')
resource archiveBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: archive::blobs::recordings
  name: guid(archive::blobs::recordings.id, appPrincipalId, role['Storage Blob Data Contributor'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Data Contributor'])
  }
}

// What an erasure needs beyond writing and deleting blobs, and nothing else. No built-in role below Owner has it.
resource eraser 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (eraseVersions) {
  name: guid(resourceGroup().id, 'recordings-eraser')
  properties: {
    roleName: 'Recordings eraser ${uniqueString(resourceGroup().id)}'
    description: 'Delete versions of blobs, also for good, and set holds and policies of versions.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/permanentDelete/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/immutableStorage/runAsSuperUser/action'
        ]
        notDataActions: []
      }
    ]
  }
}

@description('Erase recordings with their versions, and hold them by the platform too. Off by default, since one identity then writes, holds and erases.')
resource archiveErasures 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (eraseVersions) {
  scope: archive::blobs::recordings
  name: guid(archive::blobs::recordings.id, appPrincipalId, eraser.id)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: eraser.id
  }
}

@description('Sign the links of GET …/content. A user delegation key is requested from the account, so a role on the container is not enough; this role reads no data.')
resource archiveLinks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: archive
  name: guid(archive.id, appPrincipalId, role['Storage Blob Delegator'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Delegator'])
  }
}

@description('Make and delete joined files and exports, in their container only.')
resource derivedBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: derived::blobs::files
  name: guid(derived::blobs::files.id, appPrincipalId, role['Storage Blob Data Contributor'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Data Contributor'])
  }
}

@description('Sign the links to joined files and exports; as for the archive, a role on the container is not enough.')
resource derivedLinks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: derived
  name: guid(derived.id, appPrincipalId, role['Storage Blob Delegator'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Delegator'])
  }
}

@description('Send telemetry: local authentication is off in Application Insights.')
resource telemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, appPrincipalId, role['Monitoring Metrics Publisher'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Monitoring Metrics Publisher'])
  }
}

@description('Publish domain events; keys are off on the topic.')
resource publish 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: domainTopic
  name: guid(domainTopic.id, appPrincipalId, role['EventGrid Data Sender'])
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['EventGrid Data Sender'])
  }
}

@description('Event Grid writes undeliverable events into this one container.')
resource deadLetter 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage::blobs::deadLetters
  name: guid(storage::blobs::deadLetters.id, eventGridPrincipalId, role['Storage Blob Data Contributor'])
  properties: {
    principalId: eventGridPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role['Storage Blob Data Contributor'])
  }
}
