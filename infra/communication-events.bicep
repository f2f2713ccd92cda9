// The system topic of the ACS resource, in that resource's group, and its endpoint.
// Its subscriptions need the deployed functions: subscriptions.bicep, after the code.

param tags object
param communicationName string
param topicName string
param eventGridIdentityId string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: communicationName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: topicName
  location: 'global'
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${eventGridIdentityId}': {}
    }
  }
  properties: {
    source: communication.id
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

// The audience of callback tokens: not the resource's ARM id, and constant for its whole life.
output immutableResourceId string = communication.properties.immutableResourceId
output endpoint string = 'https://${communication.properties.hostName}'
output topicId string = topic.id
output topicName string = topic.name
