// Long-term storage, in a separate account: access to recordings in flight does not include the archive account, and
// the archive has its own retention.

param location string
param tags object
@minLength(13)
param token string

@description('The account is reachable only through its private endpoints (network.bicep).')
param privateNetworking bool
param container string

@description('Redundancy, for example Standard_ZRS; main.bicep lists the allowed values.')
param sku string

param softDeleteDays int

@description('After how many days recordings go to the cool tier; 0 never.')
param coolAfterDays int

@description('After how many days recordings go to the cold tier; 0 never. Not the archive tier: GET …/content must be able to read them.')
param coldAfterDays int

@description('Allows policies and legal holds per blob version. Easy to enable only when the container is created, and impossible to disable; the container can then be deleted only when it is empty. See docs/compliance.md#retention.')
param immutabilitySupport bool

@description('For how many days a recording cannot be changed or deleted (WORM); 0 sets no policy. The policy begins unlocked.')
param immutableDays int

@description('The policy was locked by hand: deployments must not set it again, because Azure would reject that.')
param immutabilityLocked bool

@description('What was soft-deleted can be deleted for good, by whoever has a role for it: erasures do.')
param eraseVersions bool

@description('Origins of the page, whose scripts may read what a link opens; none without a page.')
param pageOrigins array

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: 'starc${token}'
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
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
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
    // Overwritten or deleted blobs can be restored; immutability per version needs versions.
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

resource recordings 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
    // The property is sent only if it is wanted: a container that has the support keeps it.
    immutableStorageWithVersioning: immutabilitySupport ? { enabled: true } : null
  }
}

resource immutability 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-08-01' = if (immutableDays > 0 && !immutabilityLocked) {
  parent: recordings
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: immutableDays
    allowProtectedAppendWrites: false
  }
}

var toCool = coolAfterDays == 0 ? {} : {
  tierToCool: {
    daysAfterModificationGreaterThan: coolAfterDays
  }
}
var toCold = coldAfterDays == 0 ? {} : {
  tierToCold: {
    daysAfterModificationGreaterThan: coldAfterDays
  }
}
var ofRecordings = union(toCool, toCold)
// A rule needs an action even if it is disabled.
var noAction = {
  tierToCold: {
    daysAfterModificationGreaterThan: 99999
  }
}

var retention = {
  name: 'recordings'
  enabled: !empty(ofRecordings)
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      // Recordings begin with their year; conversations/ is what AUTO_RECORD remembers, read on every call.
      prefixMatch: [
        '${container}/2'
      ]
    }
    actions: {
      baseBlob: empty(ofRecordings) ? noAction : ofRecordings
    }
  }
}

// The app deletes recordings itself, when their retention class ends: a rule knows no holds. What it deletes becomes a
// version, which the app may not delete without a role for that. A version that this rule deletes is soft-deleted for
// softDeleteDays more; one on hold or under a policy it leaves alone.
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
      version: {
        delete: {
          daysAfterCreationGreaterThan: 1
        }
      }
    }
  }
}

// Always deployed: otherwise the rules of an earlier deployment would continue to delete.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [retention, deleteVersions]
    }
  }
  dependsOn: [
    blobs
  ]
}

output accountName string = account.name
output accountId string = account.id
output blobUri string = account.properties.primaryEndpoints.blob
