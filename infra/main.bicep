// Wiring only: parameters, modules, outputs for azd. Each part is defined in its own file.

targetScope = 'subscription'

@description('Name of the azd environment; it names the resource group.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything except ACS and its topic, which are global. It must offer Flex Consumption.')
param location string

@description('Name of an existing ACS resource in this subscription; if empty, a new one is created.')
param existingCommunicationName string = ''

@description('Resource group of the existing ACS resource. Its system topic and subscription are also created there.')
param existingCommunicationGroup string = ''

@description('Name of the system topic that the existing ACS resource already has: a resource can have only one. If empty, one is created.')
param existingTopicName string = ''

@description('Where a new ACS resource keeps its data at rest, for example Europe or United States. Required for a new one; it can never be changed.')
param communicationDataLocation string = ''

@description('Version of the recording API (setting ACS_API_VERSION). If empty, the Call Automation API at the SDK\'s own version.')
param acsApiVersion string = ''

@description('How long ACS keeps a recording, in hours (SOURCE_RETENTION_HOURS). If empty, 24 with the Call Automation API and 48 with the 2021 preview API.')
param sourceRetentionHours string = ''

@description('How many hours before its deadline a chunk that is not safe is reported as at risk (RISK_HOURS).')
@minValue(0)
@maxValue(720)
param riskHours int = 8

@description('How many minutes a queued chunk may take before the timer queues it again (RESCUE_MINUTES).')
@minValue(1)
param rescueMinutes int = 15

@description('After how many minutes a recording that was stopped and not announced is reported (UNANNOUNCED_MINUTES).')
@minValue(1)
@maxValue(1440)
param unannouncedMinutes int = 60

@description('When the archive timer runs: NCRONTAB, six fields, UTC (ARCHIVE_SCHEDULE).')
param archiveSchedule string = '0 */5 * * * *'

@description('The largest block of a chunk, in MiB (INGEST_BLOCK_MIB).')
@minValue(4)
@maxValue(4000)
param ingestBlockMib int = 32

@description('Streams per process (INGEST_PARALLELISM).')
@minValue(1)
@maxValue(64)
param ingestParallelism int = 8

@description('More hosts that chunk bytes may be fetched from, comma-separated (CONTENT_HOSTS).')
param contentHosts string = ''

@description('Delete a chunk at ACS once its archive copy was verified (DELETE_SOURCE); Call Automation API only.')
param deleteSource bool = false

@description('After how many hours an erasure that was asked for happens (ERASURE_DELAY_HOURS); until then it can be called off.')
@minValue(0)
@maxValue(720)
param erasureDelayHours int = 24

@description('Gives the app a role with which an erasure also deletes versions of blobs, for good, and with which holds and policies are set: one identity then writes, holds and erases (see SECURITY.md). Without it, erased recordings remain as versions until the platform deletes them.')
param eraseVersions bool = false

@description('all starts a recording when a call is established (AUTO_RECORD).')
@allowed(['off', 'all'])
param autoRecord string = 'off'

@description('Whether exports of what there is about a person hide or show others who took part (EXPORT_OTHERS).')
@allowed(['masked', 'shown'])
param exportOthers string = 'masked'

@description('required refuses a start unless consent was granted and none withdrawn (CONSENT); not together with autoRecord all.')
@allowed(['off', 'required'])
param consent string = 'off'

@description('Where the app\'s own traces go: auto is Application Insights (TELEMETRY).')
@allowed(['auto', 'console', 'off'])
param telemetry string = 'auto'

@description('The public address of the app, with https:// (PUBLIC_BASE_URL). If empty, no state callbacks are requested.')
param publicBaseUrl string = ''

@description('A Key Vault secret with a function key for the callback address (CALLBACK_KEY), as https://<vault>.vault.azure.net/secrets/<name>; the app\'s identity must be able to read it. If empty, there is no key.')
param callbackKeySecretUri string = ''

@description('Accept callbacks of the Call Automation API only with the token that ACS signs for this resource (ACS_RESOURCE_ID).')
param requireCallbackToken bool = true

@description('The Entra tenant of the people and services that use /v1 (ENTRA_TENANT_ID): infra/register.sh sets it. If empty, /v1 is off.')
param entraTenantId string = ''

@description('The client id of the application that stands for the API in that tenant (ENTRA_API_ID), likewise.')
param entraApiId string = ''

@description('The client id of the application that stands for the page in that tenant (ENTRA_PAGE_ID), likewise. If empty, nobody signs in on the page.')
param entraPageId string = ''

@description('The maximum number of instances.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('Instances of HTTP and Event Grid triggers that are always ready. Default: one with AUTO_RECORD, because an idle app may answer an event minutes late; two if the plan is zone-redundant.')
@minValue(0)
@maxValue(1000)
param httpAlwaysReadyInstances int?

@description('How many requests an instance gets at a time before another one is started. Over 32 connections one worker answers a thousand events within 0.206 s (p99; benchmarks/results.json, burst). The platform\'s default of 1 starts an instance for each request.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 32

@description('Memory of an instance. 512 MB is not offered, because it was not measured with the host, the worker and its streams.')
@allowed([2048, 4096])
param instanceMemoryMB int = 2048

@description('Creates a virtual network with the app in it and private endpoints for the storage accounts, which are then closed to everything else: see docs/deploy-upgrade.md#private-networking.')
param privateNetworking bool = false

@description('Addresses of that network: a /24 or larger that does not overlap with networks that you connect to it.')
param networkAddressPrefix string = '10.80.0.0/24'

@description('Runs instances in several zones of the region. Needs a region with zones, and at least two always-ready instances if there are any.')
param zoneRedundant bool = false

@description('What a deployment or a changed setting does to running instances: Recreate ends them, RollingUpdate (a preview) lets them finish. Empty does not change the app\'s strategy, which is Recreate at first.')
@allowed(['', 'Recreate', 'RollingUpdate'])
param siteUpdateStrategy string = ''

@description('Redundancy of the account with queue and staging. Regions without zones need Standard_LRS or Standard_GRS.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS'])
param stagingSku string = 'Standard_ZRS'

@description('Redundancy of the archive account. Regions without zones need Standard_LRS or Standard_GRS.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS'])
param archiveSku string = 'Standard_ZRS'

@description('After how many days recordings go to the cool tier; 0 never.')
@minValue(0)
param archiveCoolAfterDays int = 30

@description('After how many days recordings go to the cold tier; 0 never.')
@minValue(0)
param archiveColdAfterDays int = 90

@description('Retention classes and their days, the default first, for example standard=90,court=2555,history=forever (RETENTION_CLASSES). If empty, recordings are kept for ever.')
param retentionClasses string = ''

@description('Allows a policy or a legal hold on recordings, now or later. Decide before the first deployment: see docs/compliance.md#retention.')
param archiveImmutabilitySupport bool = false

@description('The archive\'s policy was locked by hand; deployments do not change it.')
param archiveImmutabilityLocked bool = false

@description('For how many days a recording cannot be changed or deleted; 0 sets no policy.')
@minValue(0)
@maxValue(146000)
param archiveImmutableDays int = 0

@description('After how many days joined files and exports are deleted. They are made again when they are asked for.')
@minValue(1)
@maxValue(365)
param derivedDays int = 7

@description('How long a deleted blob can be restored, in days.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 14

@description('After how many days quarantined and dead-lettered events are deleted; 0 keeps them.')
@minValue(0)
param eventRetentionDays int = 90

@description('How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Email addresses that get the alerts. If empty, alerts fire without any notification.')
param alertEmails string[] = []

@description('Alert if a recording was started this many hours ago and no file event has arrived since. Must be longer than your longest call.')
@minValue(1)
@maxValue(47)
param silenceHours int = 6

@description('The https address at which your team reads docs/runbook.md. Alerts and the page link to its sections (RUNBOOK_URL); if empty, alerts only name them.')
param runbookUrl string = ''

@description('Log every request to the three storage accounts in the workspace, to show who has read, written or deleted a recording.')
param accessLogs bool = true

@description('Let the ACS resource report its recordings to the workspace, and compare them with the archive.')
param communicationLogs bool = true

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}

var alwaysReady = httpAlwaysReadyInstances ?? (autoRecord == 'off' ? 0 : zoneRedundant ? 2 : 1)

// Values that are valid on their own but not together, with their names in the azd environment (main.bicepparam).
var sourceHours = empty(sourceRetentionHours) ? (acsApiVersion == version2021 ? 48 : 24) : int(split(sourceRetentionHours, '.')[0])
var version2021 = '2021-04-15-preview1'

@description('Whether an address begins with https:// and a host.')
func isHttps(address string) bool => startsWith(address, 'https://') && !empty(split('${address}//', '/')[2])

var contradictions = filter([
  empty(existingCommunicationName) == empty(existingCommunicationGroup)
    ? ''
    : 'ACS_NAME and ACS_RESOURCE_GROUP name an existing ACS resource together: set both or neither.'
  empty(existingTopicName) || !empty(existingCommunicationName)
    ? ''
    : 'ACS_TOPIC_NAME is the topic of an existing ACS resource: set ACS_NAME and ACS_RESOURCE_GROUP, too, or remove it.'
  !empty(existingCommunicationName) || !empty(communicationDataLocation)
    ? ''
    : 'ACS_DATA_LOCATION is where the new ACS resource keeps its data at rest, and can never be changed: set it, for example to Europe or United States.'
  riskHours < sourceHours
    ? ''
    : 'RISK_HOURS (${riskHours}) is not below the ${sourceHours} hours for which ACS keeps a recording: every chunk would be at risk at once.'
  sourceHours <= (acsApiVersion == version2021 ? 48 : 24)
    ? ''
    : 'SOURCE_RETENTION_HOURS (${sourceRetentionHours}) is longer than ACS keeps a recording: 24 hours, 48 with the 2021 preview API.'
  !deleteSource || acsApiVersion != version2021
    ? ''
    : 'DELETE_SOURCE needs the Call Automation API: the 2021 preview API (ACS_API_VERSION) has no such operation.'
  empty(callbackKeySecretUri) || !empty(publicBaseUrl)
    ? ''
    : 'CALLBACK_KEY_SECRET_URI is used only together with PUBLIC_BASE_URL: set both, or remove it.'
  empty(callbackKeySecretUri) || isHttps(callbackKeySecretUri)
    ? ''
    : 'CALLBACK_KEY_SECRET_URI must be the https address of a Key Vault secret, not ${callbackKeySecretUri}.'
  empty(publicBaseUrl) || isHttps(publicBaseUrl)
    ? ''
    : 'PUBLIC_BASE_URL must be https://<host>, not ${publicBaseUrl}: FUNCTION_APP_HOST has the host after the first azd up; remove it until then.'
  empty(entraTenantId) == empty(entraApiId)
    ? ''
    : 'ENTRA_TENANT_ID and ENTRA_API_ID belong together: set both, as infra/register.sh does, or neither.'
  archiveCoolAfterDays == 0 || archiveColdAfterDays == 0 || archiveCoolAfterDays < archiveColdAfterDays
    ? ''
    : 'ARCHIVE_COLD_AFTER_DAYS (${archiveColdAfterDays}) must be more than ARCHIVE_COOL_AFTER_DAYS (${archiveCoolAfterDays}): recordings become colder with time. 0 omits a tier.'
  archiveImmutableDays == 0 || archiveImmutabilitySupport
    ? ''
    : 'ARCHIVE_IMMUTABLE_DAYS needs ARCHIVE_IMMUTABILITY_SUPPORT: without it the container accepts no policy.'
  !archiveImmutabilityLocked || archiveImmutableDays > 0
    ? ''
    : 'ARCHIVE_IMMUTABILITY_LOCKED says that a policy was locked: keep the ARCHIVE_IMMUTABLE_DAYS that it has.'
  empty(runbookUrl) || isHttps(runbookUrl)
    ? ''
    : 'RUNBOOK_URL must be the https address at which your team reads docs/runbook.md, not ${runbookUrl}: remove it if there is none.'
  !zoneRedundant || contains(stagingSku, 'ZRS')
    ? ''
    : 'ZONE_REDUNDANT needs a STAGING_SKU with zones, not ${stagingSku}: the app cannot run without that account.'
  !zoneRedundant || alwaysReady != 1
    ? ''
    : 'HTTP_ALWAYS_READY is 1, and ZONE_REDUNDANT needs at least two, or none.'
  alwaysReady <= maximumInstanceCount
    ? ''
    : 'HTTP_ALWAYS_READY (${alwaysReady}) is more than MAXIMUM_INSTANCE_COUNT (${maximumInstanceCount}).'
], sentence => !empty(sentence))

var groupName = empty(contradictions) ? 'rg-${environmentName}' : fail(join(contradictions, ' '))
var newCommunication = empty(existingCommunicationName)
var communicationName = newCommunication ? 'acs-${token}' : existingCommunicationName
// Not groupName: resources in the new group must wait for the group itself.
var communicationGroup = newCommunication ? group.name : existingCommunicationGroup
var eventTopicName = empty(existingTopicName) ? 'evgt-acs-${token}' : existingTopicName

var container = {
  staging: 'recordings-staging'
  archive: 'recordings-archive'
  derived: 'recordings-derived'
  quarantine: 'recordings-quarantine'
  deadLetter: 'recordings-dead-letter'
  deployment: 'deployment'
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: tags
}

module identity 'identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
  }
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    retentionDays: logRetentionDays
  }
}

// The app's own host name (function-app.bicep), which isn't known from the app: its settings need the accounts first.
// PUBLIC_BASE_URL is another name of the same app.
var pageOrigins = empty(entraPageId)
  ? []
  : union(
      ['https://func-${token}.azurewebsites.net'],
      empty(publicBaseUrl) ? [] : [join(take(split(publicBaseUrl, '/'), 3), '/')]
    )

module storage 'storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    sku: stagingSku
    privateNetworking: privateNetworking
    stagingContainer: container.staging
    quarantineContainer: container.quarantine
    deadLetterContainer: container.deadLetter
    deploymentContainer: container.deployment
    softDeleteDays: softDeleteDays
    eventRetentionDays: eventRetentionDays
    eraseVersions: eraseVersions
    pageOrigins: pageOrigins
  }
}

module archive 'archive.bicep' = {
  name: 'archive'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    container: container.archive
    sku: archiveSku
    privateNetworking: privateNetworking
    softDeleteDays: softDeleteDays
    coolAfterDays: archiveCoolAfterDays
    coldAfterDays: archiveColdAfterDays
    immutabilitySupport: archiveImmutabilitySupport
    immutableDays: archiveImmutableDays
    immutabilityLocked: archiveImmutabilityLocked
    eraseVersions: eraseVersions
    pageOrigins: pageOrigins
  }
}

module derived 'derived.bicep' = {
  name: 'derived'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    container: container.derived
    privateNetworking: privateNetworking
    deleteAfterDays: derivedDays
  }
}

module network 'network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    addressPrefix: networkAddressPrefix
    accounts: [
      {
        name: storage.outputs.accountName
        id: storage.outputs.accountId
        services: ['blob', 'queue', 'table']
      }
      {
        name: archive.outputs.accountName
        id: archive.outputs.accountId
        services: ['blob', 'queue', 'table']
      }
      {
        name: derived.outputs.accountName
        id: derived.outputs.accountId
        services: ['blob']
      }
    ]
  }
}

module communication 'communication.bicep' = if (newCommunication) {
  name: 'communication'
  scope: group
  params: {
    tags: tags
    name: communicationName
    dataLocation: communicationDataLocation
  }
}

module communicationEvents 'communication-events.bicep' = {
  name: 'communication-events'
  scope: resourceGroup(communicationGroup)
  params: {
    tags: tags
    communicationName: communicationName
    topicName: eventTopicName
    eventGridIdentityId: identity.outputs.eventGridId
  }
  dependsOn: [communication]
}

module communicationRoles 'communication-roles.bicep' = {
  name: 'communication-roles'
  scope: resourceGroup(communicationGroup)
  params: {
    communicationName: communicationName
    appPrincipalId: identity.outputs.appPrincipalId
  }
  dependsOn: [communication]
}

module communicationLog 'communication-logs.bicep' = if (communicationLogs) {
  name: 'communication-logs'
  scope: resourceGroup(communicationGroup)
  params: {
    communicationName: communicationName
    workspaceId: monitoring.outputs.workspaceId
    settingName: 'recordings-${token}'
  }
  dependsOn: [communication]
}

module stagingLog 'access-logs.bicep' = if (accessLogs) {
  name: 'access-logs-staging'
  scope: group
  params: {
    accountName: storage.outputs.accountName
    workspaceId: monitoring.outputs.workspaceId
    settingName: 'recordings-${token}'
  }
}

module archiveLog 'access-logs.bicep' = if (accessLogs) {
  name: 'access-logs-archive'
  scope: group
  params: {
    accountName: archive.outputs.accountName
    workspaceId: monitoring.outputs.workspaceId
    settingName: 'recordings-${token}'
  }
}

module derivedLog 'access-logs.bicep' = if (accessLogs) {
  name: 'access-logs-derived'
  scope: group
  params: {
    accountName: derived.outputs.accountName
    workspaceId: monitoring.outputs.workspaceId
    settingName: 'recordings-${token}'
  }
}

module domainEvents 'domain-events.bicep' = {
  name: 'domain-events'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
  }
}

module roles 'roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    appPrincipalId: identity.outputs.appPrincipalId
    eventGridPrincipalId: identity.outputs.eventGridPrincipalId
    storageAccountName: storage.outputs.accountName
    deadLetterContainer: container.deadLetter
    archiveAccountName: archive.outputs.accountName
    archiveContainer: container.archive
    eraseVersions: eraseVersions
    derivedAccountName: derived.outputs.accountName
    derivedContainer: container.derived
    insightsName: monitoring.outputs.insightsName
    domainTopicName: domainEvents.outputs.topicName
  }
}

module functionApp 'function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    identityId: identity.outputs.appId
    identityClientId: identity.outputs.appClientId
    storageAccountName: storage.outputs.accountName
    storageBlobUri: storage.outputs.blobUri
    storageQueueUri: storage.outputs.queueUri
    storageTableUri: storage.outputs.tableUri
    archiveBlobUri: archive.outputs.blobUri
    derivedBlobUri: derived.outputs.blobUri
    deploymentContainer: container.deployment
    stagingContainer: container.staging
    archiveContainer: container.archive
    derivedContainer: container.derived
    quarantineContainer: container.quarantine
    deadLetterContainer: container.deadLetter
    insightsConnectionString: monitoring.outputs.connectionString
    communicationEndpoint: communicationEvents.outputs.endpoint
    communicationResourceId: requireCallbackToken ? communicationEvents.outputs.immutableResourceId : ''
    domainEventsEndpoint: domainEvents.outputs.endpoint
    acsApiVersion: acsApiVersion
    sourceRetentionHours: sourceRetentionHours
    riskHours: riskHours
    rescueMinutes: rescueMinutes
    unannouncedMinutes: unannouncedMinutes
    archiveSchedule: archiveSchedule
    ingestBlockMib: ingestBlockMib
    ingestParallelism: ingestParallelism
    contentHosts: contentHosts
    deleteSource: deleteSource
    erasureDelayHours: erasureDelayHours
    retentionClasses: retentionClasses
    archiveImmutability: archiveImmutabilitySupport
    autoRecord: autoRecord
    consent: consent
    exportOthers: exportOthers
    exportDays: derivedDays
    telemetry: telemetry
    publicBaseUrl: publicBaseUrl
    callbackKeySecretUri: callbackKeySecretUri
    entraTenantId: entraTenantId
    entraApiId: entraApiId
    entraPageId: entraPageId
    runbookUrl: runbookUrl
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    zoneRedundant: zoneRedundant
    siteUpdateStrategy: siteUpdateStrategy
    maximumInstanceCount: maximumInstanceCount
    httpAlwaysReadyInstances: alwaysReady
    httpConcurrency: httpConcurrency
    instanceMemoryMB: instanceMemoryMB
  }
  // Without its roles the app starts, fails and is started again until they are there.
  dependsOn: [roles, communicationRoles]
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
    insightsId: monitoring.outputs.insightsId
    workspaceId: monitoring.outputs.workspaceId
    eventTopicId: communicationEvents.outputs.topicId
    reconciles: communicationLogs && acsApiVersion != version2021
    missingAfterHours: min(max(sourceHours - riskHours, 1), 40)
    emails: alertEmails
    silenceHours: silenceHours
    runbookUrl: runbookUrl
  }
}

module workbook 'workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
  }
}

// azd keeps these in the environment; the postdeploy hook reads them (azure.yaml).
output AZURE_RESOURCE_GROUP string = group.name
output APP_PRINCIPAL_ID string = identity.outputs.appPrincipalId
output FUNCTION_APP_NAME string = functionApp.outputs.appName
output FUNCTION_APP_ID string = functionApp.outputs.appId
output FUNCTION_APP_HOST string = functionApp.outputs.hostName
// Where people and services send their requests, and the scope for which a service asks for its token.
output V1_ADDRESS string = empty(entraApiId) ? '' : 'https://${functionApp.outputs.hostName}/v1'
output V1_SCOPE string = empty(entraApiId) ? '' : '${entraApiId}/.default'
output EVENTS_GROUP string = communicationGroup
output EVENTS_TOPIC_NAME string = communicationEvents.outputs.topicName
output EVENTS_IDENTITY_ID string = identity.outputs.eventGridId
output STORAGE_ACCOUNT_ID string = storage.outputs.accountId
output STORAGE_ACCOUNT_NAME string = storage.outputs.accountName
output ARCHIVE_ACCOUNT_NAME string = archive.outputs.accountName
output STAGING_CONTAINER_NAME string = container.staging
output DERIVED_ACCOUNT_NAME string = derived.outputs.accountName
output ARCHIVE_CONTAINER_NAME string = container.archive
output DEAD_LETTER_CONTAINER string = container.deadLetter
output LOG_WORKSPACE_ID string = monitoring.outputs.workspaceCustomerId
output QUARANTINE_CONTAINER_NAME string = container.quarantine
