// Who has read, written or deleted what in a storage account: every request becomes a row of StorageBlobLogs,
// StorageQueueLogs or StorageTableLogs in the workspace, some minutes later.

param accountName string
param workspaceId string

@description('A service can have up to five diagnostic settings.')
param settingName string

var all = [
  'StorageRead'
  'StorageWrite'
  'StorageDelete'
]

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'
  }

  resource queues 'queueServices' existing = {
    name: 'default'
  }

  resource tables 'tableServices' existing = {
    name: 'default'
  }
}

resource ofBlobs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::blobs
  name: settingName
  properties: {
    workspaceId: workspaceId
    logs: [for category in all: {
      category: category
      enabled: true
    }]
  }
}

resource ofQueues 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::queues
  name: settingName
  properties: {
    workspaceId: workspaceId
    // Without reads: every instance polls its queues all day, and queues hold no recordings.
    logs: [for category in skip(all, 1): {
      category: category
      enabled: true
    }]
  }
}

resource ofTables 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account::tables
  name: settingName
  properties: {
    workspaceId: workspaceId
    logs: [for category in all: {
      category: category
      enabled: true
    }]
  }
}
