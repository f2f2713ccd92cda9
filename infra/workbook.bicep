// The workbook "Call recordings": what is in flight by time left, throughput, failures.

param location string
param tags object
param insightsId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'call-recordings')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Call recordings'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: insightsId
    serializedData: string(loadJsonContent('workbook.json'))
  }
}
