// The Event Grid subscriptions of the system topic. Deployed after the code (azure.yaml, postdeploy):
// Event Grid checks that the function exists. It fetches the function's key itself, so none is passed
// here. Deploying it again changes nothing, or mends what was changed by hand.

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

@description('How long an event is tried, in minutes. With a source retention of 24 h take less than 1440: a dead letter after 24 h comes when ACS has deleted the recording.')
@minValue(1)
@maxValue(1440)
param eventTimeToLiveInMinutes int = 1440

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

// CallLegStateChanged of the 2021 API comes by callback (POST /callbacks), not from here.
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
