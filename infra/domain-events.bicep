// The custom topic on which the app publishes that a recording is archived, at risk or lost.

param location string
param tags object
@minLength(13)
param token string

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: 'evgt-recordings-${token}'
  location: location
  tags: tags
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
  }
}

output endpoint string = topic.properties.endpoint
output topicName string = topic.name
