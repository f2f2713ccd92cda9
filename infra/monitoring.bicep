// Application Insights on a Log Analytics workspace. Local authentication is off: only an identity
// with the role Monitoring Metrics Publisher may send telemetry (roles.bicep).

param location string
param tags object
@minLength(13)
param token string

@description('How long logs are kept, in days. The alerts need two, the workbook thirty.')
@minValue(30)
@maxValue(730)
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

output workspaceId string = workspace.id

@description('The workspace id that queries use: `python -m recording reconcile --workspace`.')
output workspaceCustomerId string = workspace.properties.customerId
output insightsId string = insights.id
output insightsName string = insights.name
// Not a secret here: with local authentication off it only names the destination and grants nothing.
output connectionString string = insights.properties.ConnectionString
