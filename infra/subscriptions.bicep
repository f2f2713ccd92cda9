// The Event Grid subscriptions of the system topic. Deployed after the code (azure.yaml, postdeploy): Event Grid checks
// that the function exists. It fetches the function's key itself, so none is passed here, unless subscribeByAddress is set.
// Deploying it again changes nothing, or undoes manual changes.

@description('The system topic of the ACS resource, in this resource group.')
param topicName string

@description('Resource id of the function app.')
param functionAppId string

@description('Resource id of the storage account with the dead-letter container.')
param deadLetterAccountId string
param deadLetterContainer string

@description('Resource id of the identity that writes dead letters.')
param eventGridIdentityId string

@description('The maximum number of delivery attempts; delivery ends with this or the time to live, whichever comes first.')
@minValue(1)
@maxValue(30)
param maxDeliveryAttempts int = 30

@description('How long delivery is retried, in minutes: half of the time for which ACS keeps a recording, so that a dead letter can still be replayed in time. 1440 for the 2021 preview API.')
@minValue(1)
@maxValue(1440)
param eventTimeToLiveInMinutes int = 720

@description('Subscribe functionAddress instead of functionAppId, if Event Grid does not find the function by its id.')
param subscribeByAddress bool

@description('Address of the function with its key, for subscribeByAddress.')
@secure()
param functionAddress string

var missing = filter([
  empty(topicName) ? 'EVENTS_TOPIC_NAME' : ''
  empty(functionAppId) ? 'FUNCTION_APP_ID' : ''
  empty(deadLetterAccountId) ? 'STORAGE_ACCOUNT_ID' : ''
  empty(deadLetterContainer) ? 'DEAD_LETTER_CONTAINER' : ''
  empty(eventGridIdentityId) ? 'EVENTS_IDENTITY_ID' : ''
], name => !empty(name))

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: empty(missing)
    ? topicName
    : fail('The azd environment has no ${join(missing, ', ')}: run azd provision --no-state, which sets these outputs, and then azd hooks run postdeploy.')
}

// CallStarted triggers AUTO_RECORD with the Call Automation API. Its counterpart in the 2021 preview API,
// CallLegStateChanged, arrives by callback (POST /callbacks), not from here.
resource recordingFiles 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'recording-files'
  properties: {
    // The host repeats a whole batch if one of its events fails, so a batch has one.
    destination: !subscribeByAddress
      ? {
          endpointType: 'AzureFunction'
          properties: {
            resourceId: '${functionAppId}/functions/receive_event'
            maxEventsPerBatch: 1
            preferredBatchSizeInKilobytes: 64
          }
        }
      : {
          endpointType: 'WebHook'
          properties: {
            endpointUrl: functionAddress
            maxEventsPerBatch: 1
            preferredBatchSizeInKilobytes: 64
          }
        }
    filter: {
      includedEventTypes: [
        'Microsoft.Communication.RecordingFileStatusUpdated'
        'Microsoft.Communication.CallStarted'
        'Microsoft.Communication.CallEnded'
      ]
    }
    eventDeliverySchema: 'EventGridSchema'
    retryPolicy: {
      maxDeliveryAttempts: maxDeliveryAttempts
      eventTimeToLiveInMinutes: eventTimeToLiveInMinutes
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'UserAssigned'
        userAssignedIdentity: eventGridIdentityId
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: deadLetterAccountId
          blobContainerName: deadLetterContainer
        }
      }
    }
  }
}
