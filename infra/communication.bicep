// A new ACS resource. Not deployed when an existing one is named (main.bicep).

param tags object
param name string

@description('Where ACS keeps its data at rest, for example Europe or United States. Cannot be changed later.')
param dataLocation string

resource communication 'Microsoft.Communication/communicationServices@2023-04-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
  }
}
