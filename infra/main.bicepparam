// Values come from the azd environment: `azd env set ALERT_EMAILS ops@example.com`. What is not set
// keeps the default of main.bicep; add a line here for any other parameter that you change.
using './main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'recordings')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')

// An ACS resource that exists already; both empty makes a new one, which needs ACS_DATA_LOCATION.
param existingCommunicationName = readEnvironmentVariable('ACS_NAME', '')
param existingCommunicationGroup = readEnvironmentVariable('ACS_RESOURCE_GROUP', '')
param existingTopicName = readEnvironmentVariable('ACS_TOPIC_NAME', '')
param communicationDataLocation = readEnvironmentVariable('ACS_DATA_LOCATION', '')

param alertEmails = map(
  filter(split(readEnvironmentVariable('ALERT_EMAILS', ''), ','), part => !empty(trim(part))),
  part => contains(part, '@') ? trim(part) : fail('ALERT_EMAILS contains "${part}", which is not an email address: separate addresses with commas.')
)
param runbookUrl = readEnvironmentVariable('RUNBOOK_URL', '')
param accessLogs = bool(readEnvironmentVariable('ACCESS_LOGS', 'true'))
param communicationLogs = bool(readEnvironmentVariable('COMMUNICATION_LOGS', 'true'))
param logRetentionDays = int(readEnvironmentVariable('LOG_RETENTION_DAYS', '30'))
param silenceHours = int(readEnvironmentVariable('SILENCE_HOURS', '6'))

param autoRecord = readEnvironmentVariable('AUTO_RECORD', 'off')
param exportOthers = readEnvironmentVariable('EXPORT_OTHERS', 'masked')
param consent = readEnvironmentVariable('CONSENT', 'off')
param acsApiVersion = readEnvironmentVariable('ACS_API_VERSION', '')
param sourceRetentionHours = readEnvironmentVariable('SOURCE_RETENTION_HOURS', '')
param riskHours = int(readEnvironmentVariable('RISK_HOURS', '8'))
param deleteSource = bool(readEnvironmentVariable('DELETE_SOURCE', 'false'))
param erasureDelayHours = int(readEnvironmentVariable('ERASURE_DELAY_HOURS', '24'))
param eraseVersions = bool(readEnvironmentVariable('ERASE_VERSIONS', 'false'))
param contentHosts = readEnvironmentVariable('CONTENT_HOSTS', '')
param publicBaseUrl = readEnvironmentVariable('PUBLIC_BASE_URL', '')
param callbackKeySecretUri = readEnvironmentVariable('CALLBACK_KEY_SECRET_URI', '')
param requireCallbackToken = bool(readEnvironmentVariable('REQUIRE_CALLBACK_TOKEN', 'true'))
param entraTenantId = readEnvironmentVariable('ENTRA_TENANT_ID', '')
param entraApiId = readEnvironmentVariable('ENTRA_API_ID', '')
param entraPageId = readEnvironmentVariable('ENTRA_PAGE_ID', '')

param ingestParallelism = int(readEnvironmentVariable('INGEST_PARALLELISM', '8'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '100'))

var memory = readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048')
param instanceMemoryMB = memory == '2048'
  ? 2048
  : memory == '4096' ? 4096 : fail('INSTANCE_MEMORY_MB is "${memory}"; it must be 2048 or 4096.')

var ready = readEnvironmentVariable('HTTP_ALWAYS_READY', '')
param httpAlwaysReadyInstances = empty(ready) ? null : int(ready)
param httpConcurrency = int(readEnvironmentVariable('HTTP_CONCURRENCY', '32'))
param privateNetworking = bool(readEnvironmentVariable('PRIVATE_NETWORKING', 'false'))
param networkAddressPrefix = readEnvironmentVariable('NETWORK_ADDRESS_PREFIX', '10.80.0.0/24')
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param siteUpdateStrategy = readEnvironmentVariable('SITE_UPDATE_STRATEGY', '')

param stagingSku = readEnvironmentVariable('STAGING_SKU', 'Standard_ZRS')
param archiveSku = readEnvironmentVariable('ARCHIVE_SKU', 'Standard_ZRS')
param derivedDays = int(readEnvironmentVariable('DERIVED_DAYS', '7'))
param archiveCoolAfterDays = int(readEnvironmentVariable('ARCHIVE_COOL_AFTER_DAYS', '30'))
param archiveColdAfterDays = int(readEnvironmentVariable('ARCHIVE_COLD_AFTER_DAYS', '90'))
param retentionClasses = readEnvironmentVariable('RETENTION_CLASSES', '')
param archiveImmutabilitySupport = bool(readEnvironmentVariable('ARCHIVE_IMMUTABILITY_SUPPORT', 'false'))
param archiveImmutabilityLocked = bool(readEnvironmentVariable('ARCHIVE_IMMUTABILITY_LOCKED', 'false'))
param archiveImmutableDays = int(readEnvironmentVariable('ARCHIVE_IMMUTABLE_DAYS', '0'))
