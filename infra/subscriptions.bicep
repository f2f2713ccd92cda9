// The Event Grid subscriptions of the system topic. Deployed after the code (azure.yaml, postdeploy):
// Event Grid checks that the function exists. It fetches the function's key itself, so none is passed
// here. Deploying it again changes nothing, or restores what was changed by hand.

@description('The system topic of the ACS resource, in this resource group.')
param topicName string

@description('Resource id of the function app.')
param functionAppId string

@description('Resource id of the storage account with the dead-letter container.')
param deadLetterAccountId string
param deadLetterContainer string

@description('Resource id of the identity that writes dead letters.')
param eventGridIdentityId string

@description('How often an event is tried; what comes first counts, this or the time to live.')
@minValue(1)
@maxValue(30)
param maxDeliveryAttempts int = 30

@description('How long an event is tried, in minutes: half of what ACS keeps a recording for, so that a dead letter comes in time to be handed in. For the 2021 API 1440.')
@minValue(1)
@maxValue(1440)
param eventTimeToLiveInMinutes int = 720

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

// CallStarted is what AUTO_RECORD starts from with today's API. CallLegStateChanged, its like of 2021, comes by
// callback (POST /callbacks), not from here.
resource recordingFiles 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'recording-files'
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/receive_event'
        // The host repeats a whole batch when one event of it fails.
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
