// Files that are made from recordings and can be made again: joined files and exports. They have an account of their own
// because versions and soft delete are settings of a whole account, and would keep what was erased.

param location string
param tags object
@minLength(13)
param token string
param container string

@description('The account is reachable only through its private endpoints (network.bicep).')
param privateNetworking bool

@description('After how many days a derived file is deleted.')
param deleteAfterDays int

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: 'stdv${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    // What is lost is made again: one copy in the region suffices, in a region with or without zones.
    name: 'Standard_LRS'
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

// All three are off: what is deleted is gone. A file that contains a person's voice must not outlive its recording.
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: false
    deleteRetentionPolicy: {
      enabled: false
    }
    containerDeleteRetentionPolicy: {
      enabled: false
    }
  }
}

resource derived 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-derived'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterCreationGreaterThan: deleteAfterDays
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    blobs
  ]
}

output accountName string = account.name
output accountId string = account.id
output blobUri string = account.properties.primaryEndpoints.blob
