// The app's own account: the host's leases and deployment package, the queue, recordings in flight,
// and events that could not be understood or delivered.

param location string
param tags object
@minLength(13)
param token string

@description('Zone-redundant by default: between the call and the archive a recording exists only here, and must survive the failure of a zone.')
param sku string

@description('The account is reachable only through its private endpoints and by trusted Azure services (network.bicep).')
param privateNetworking bool
param stagingContainer string
param quarantineContainer string
param deadLetterContainer string
param deploymentContainer string
param softDeleteDays int

@description('After how many days quarantined and dead-lettered events are deleted; 0 keeps them.')
param eventRetentionDays int

@description('What was soft-deleted can be deleted for good: erasures do.')
param eraseVersions bool

@description('Origins of the page, whose scripts may read what a link opens; none without a page.')
param pageOrigins array

@description('Fixed in the code (recording/model/job.py, backlog.py); the host moves what failed five times to -poison.')
var queueNames = [
  'recording-chunks'
  'recording-chunks-poison'
  'recording-bulk'
  'recording-bulk-poison'
  'recording-events'
  'recording-events-poison'
  'recording-archive'
  'recording-archive-poison'
  'recording-export'
  'recording-export-poison'
  'recording-erasures'
  'recording-erasures-poison'
  'recording-join'
  'recording-join-poison'
  'recording-holds'
  'recording-holds-poison'
]

var containerNames = [
  stagingContainer
  quarantineContainer
  deadLetterContainer
  deploymentContainer
]

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    // Not publicNetworkAccess 'Disabled': according to some documents that also blocks trusted services, and Event
    // Grid, which is one, writes its dead letters here. 'Deny' without rules admits nobody else.
    networkAcls: {
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    // For the page: it hears single speakers by script, which the browser allows only with a rule. Nothing else needs one.
    cors: {
      corsRules: [for origin in pageOrigins: {
        allowedOrigins: [origin]
        allowedMethods: ['GET', 'HEAD']
        allowedHeaders: ['*']
        exposedHeaders: []
        maxAgeInSeconds: 3600
      }]
    }
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
      allowPermanentDelete: eraseVersions
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = [for name in containerNames: {
  parent: blobs
  name: name
  properties: {
    publicAccess: 'None'
  }
}]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = [for name in queueNames: {
  parent: queues
  name: name
}]

var deleteVersions = {
  name: 'delete-versions'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
    }
    actions: {
      // A deleted or overwritten blob becomes a version, and a deleted version is soft-deleted for softDeleteDays more:
      // that is the time for restoring it, and determines the cost.
      version: {
        delete: {
          daysAfterCreationGreaterThan: 1
        }
      }
    }
  }
}

var deleteEvents = {
  name: 'delete-events'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      prefixMatch: [
        '${quarantineContainer}/'
        '${deadLetterContainer}/'
      ]
    }
    actions: {
      baseBlob: {
        delete: {
          daysAfterCreationGreaterThan: eventRetentionDays
        }
      }
    }
  }
}

// No rule deletes from the staging container: only the archive timer knows that a recording is safe elsewhere.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat([deleteVersions], eventRetentionDays > 0 ? [deleteEvents] : [])
    }
  }
  dependsOn: [
    blobs
  ]
}

output accountName string = account.name
output accountId string = account.id
output blobUri string = account.properties.primaryEndpoints.blob
output queueUri string = account.properties.primaryEndpoints.queue
output tableUri string = account.properties.primaryEndpoints.table
