// The Flex Consumption plan, the app and its settings. FUNCTIONS_WORKER_RUNTIME and its relatives are not set: on this
// plan functionAppConfig replaces them.

param location string
param tags object
@minLength(13)
param token string
param identityId string
param identityClientId string

param storageAccountName string
param storageBlobUri string
param storageQueueUri string
param storageTableUri string
param archiveBlobUri string
param derivedBlobUri string
param deploymentContainer string
param stagingContainer string
param archiveContainer string
param derivedContainer string
param quarantineContainer string
param deadLetterContainer string
param insightsConnectionString string
param communicationEndpoint string

@description('The immutable id of the ACS resource; if empty, callbacks need no token.')
param communicationResourceId string
param domainEventsEndpoint string

param acsApiVersion string
param sourceRetentionHours string
param riskHours int
param rescueMinutes int
param unannouncedMinutes int
param archiveSchedule string
param ingestBlockMib int
param ingestParallelism int
param contentHosts string
param deleteSource bool
param erasureDelayHours int
param retentionClasses string

@description('The archive container has version-level immutability.')
param archiveImmutability bool
param autoRecord string
param consent string
param exportOthers string
param exportDays int
param telemetry string

@description('If empty, no state callbacks are requested.')
param publicBaseUrl string

@description('Address of a Key Vault secret; if empty, the callback address has no key.')
param callbackKeySecretUri string

@description('The tenant and the application of /v1; if empty, /v1 is off.')
param entraTenantId string
param entraApiId string
param entraPageId string
param runbookUrl string

@description('The subnet for all outgoing traffic of the app; if empty, no network is used.')
param subnetId string
param maximumInstanceCount int
param httpAlwaysReadyInstances int
param httpConcurrency int

@description('What happens to running instances when code or settings change; empty does not change the current strategy.')
param siteUpdateStrategy string
param zoneRedundant bool
param instanceMemoryMB int

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${token}'
  location: location
  // azd finds the app that belongs to `services: app` in azure.yaml by this tag.
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    // There is a reference to resolve only if callbackKeySecretUri is set.
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      alwaysOn: false
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storageBlobUri}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        // Event Grid triggers belong to the group http. The first delivery to an idle app can arrive before the host
        // has loaded the key to check it: it is rejected, and delivered again after five minutes (azure-functions-host
        // issue 11834).
        alwaysReady: httpAlwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'http'
                instanceCount: httpAlwaysReadyInstances
              }
            ]
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      // The service accepts it since API version 2024-11-01, but the published types lack it.
      #disable-next-line BCP037
      siteUpdateStrategy: empty(siteUpdateStrategy) ? null : { type: siteUpdateStrategy }
    }
  }

  // Deployments use Entra ID; a publishing password would be one more key to protect.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }
}

// Every setting of recording/config/settings.py, without any key.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    AZURE_CLIENT_ID: identityClientId
    // No other kind of credential is tried: if the identity is unavailable for a moment, the app must not use another
    // one's token.
    AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential'

    // The account name in addition to the addresses: with the addresses alone, a host sometimes starts without its blob
    // client, reads no keys, and answers 401 to valid ones (azure-functions-host issues 11787, 11782, 11636).
    AzureWebJobsStorage__accountName: storageAccountName
    AzureWebJobsStorage__blobServiceUri: storageBlobUri
    AzureWebJobsStorage__queueServiceUri: storageQueueUri
    AzureWebJobsStorage__tableServiceUri: storageTableUri
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    // The app has a page of its own at /. While the app can't be loaded, the host answers 204 there and not with
    // Microsoft's page.
    AzureWebJobsDisableHomepage: 'true'
    STAGING_STORAGE__blobServiceUri: storageBlobUri
    ARCHIVE_STORAGE__blobServiceUri: archiveBlobUri
    DERIVED_STORAGE__blobServiceUri: derivedBlobUri
    STAGING_CONTAINER: stagingContainer
    ARCHIVE_CONTAINER: archiveContainer
    DERIVED_CONTAINER: derivedContainer
    QUARANTINE_CONTAINER: quarantineContainer
    DEAD_LETTER_CONTAINER: deadLetterContainer

    ACS_ENDPOINT: communicationEndpoint
    ACS_RESOURCE_ID: communicationResourceId
    ACS_API_VERSION: acsApiVersion
    SOURCE_RETENTION_HOURS: sourceRetentionHours
    RISK_HOURS: string(riskHours)
    RESCUE_MINUTES: string(rescueMinutes)
    UNANNOUNCED_MINUTES: string(unannouncedMinutes)
    ARCHIVE_SCHEDULE: archiveSchedule
    INGEST_BLOCK_MIB: string(ingestBlockMib)
    INGEST_PARALLELISM: string(ingestParallelism)
    CONTENT_HOSTS: contentHosts
    DELETE_SOURCE: toLower(string(deleteSource))
    ERASURE_DELAY_HOURS: string(erasureDelayHours)
    RETENTION_CLASSES: retentionClasses
    ARCHIVE_IMMUTABILITY: toLower(string(archiveImmutability))
    AUTO_RECORD: autoRecord
    CONSENT: consent
    EXPORT_OTHERS: exportOthers
    EXPORT_DAYS: string(exportDays)
    TELEMETRY: telemetry
    PUBLIC_BASE_URL: publicBaseUrl
    CALLBACK_KEY: empty(callbackKeySecretUri) ? '' : '@Microsoft.KeyVault(SecretUri=${callbackKeySecretUri})'
    EVENTS_TOPIC_ENDPOINT: domainEventsEndpoint
    ENTRA_TENANT_ID: entraTenantId
    ENTRA_API_ID: entraApiId
    ENTRA_PAGE_ID: entraPageId
    ENTRA_AUTHORITY: environment().authentication.loginEndpoint
    RUNBOOK_URL: runbookUrl

    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  }
}

output appId string = app.id
output appName string = app.name
output hostName string = app.properties.defaultHostName
