// A new ACS resource. Not deployed when an existing one is named (main.bicep).

param tags object
param name string

@description('Where ACS keeps its data at rest, for example Europe or United States. Cannot be changed later.')
param dataLocation string

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' = {
  name: name
  location: 'global'
  tags: tags
  // ACS writes recordings into your own container (externalStorage) with this identity.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    dataLocation: dataLocation
    // No access keys: the app signs in with its identity, and the calling app must do the same.
    disableLocalAuth: true
  }
}
