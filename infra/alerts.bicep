// Alerts. Each one's description says what to do first and links to its section of the runbook,
// docs/operations.md#<name>. The queries read the app's log lines (recording/telemetry/log.py): an event name,
// a space, its fields as JSON.

param location string
param tags object
@minLength(13)
param token string
param insightsId string

@description('The system topic of the ACS resource.')
param eventTopicId string

param emails string[]
param silenceHours int
param runbookUrl string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-recordings-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'recordings'
    enabled: true
    emailReceivers: [for (email, index) in emails: {
      name: 'email-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

var byRecording = [
  {
    name: 'recordingKey'
    operator: 'Include'
    values: [
      '*'
    ]
  }
]

var byRecordingId = [
  {
    name: 'recordingId'
    operator: 'Include'
    values: [
      '*'
    ]
  }
]

type queryRule = {
  name: string
  severity: int
  frequency: string
  window: string

  @description('How far back the query looks, where that is further than the window.')
  range: string?
  operator: string
  threshold: int
  dimensions: object[]
  advice: string
  query: string
}

var queryRules queryRule[] = [
  {
    name: 'recording-lost'
    severity: 0
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: byRecording
    advice: 'A chunk was not proved to be in our storage when ACS deleted it, or a whole recording was never announced. Read the reason in the manifest, and tell those who own the call.'
    query: '''
traces
| where message startswith "chunk.lost " or message startswith "chunk.unproved " or message startswith "recording.absent "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-at-risk'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: byRecording
    advice: 'A chunk is close to its deadline and not safe. Find out why from its reason; it is tried until the deadline.'
    query: '''
traces
| where message startswith "chunk.at_risk "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), hoursLeft = todouble(fields.hoursLeft), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-not-announced'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: byRecordingId
    advice: 'A recording was stopped, and no file event has told of it. Check the Event Grid subscription, then ask ACS support while its files are still there.'
    query: '''
traces
| where message startswith "recording.not_announced "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingId = tostring(fields.recordingId), conversationId = tostring(fields.conversationId), stoppedAt = todatetime(fields.stoppedAt)
'''
  }
  {
    name: 'no-events'
    severity: 1
    frequency: 'PT30M'
    window: 'PT30M'
    range: 'P2D'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    advice: 'Recordings were started, and no file event has come since. Check the Event Grid subscription before ACS deletes what was recorded.'
    query: replace('''
let announced = toscalar(traces | where message startswith "recording.announced " | summarize max(timestamp));
traces
| where message startswith "recording.start " and message has '"status": 200'
| where timestamp < ago({hours}h) and timestamp > coalesce(announced, datetime(2000-01-01))
| summarize started = count(), first = min(timestamp)
| where started > 0
''', '{hours}', string(silenceHours))
  }
  {
    name: 'timer-silent'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    operator: 'LessThan'
    threshold: 1
    dimensions: []
    advice: 'The archive timer has not ended a run for half an hour: nothing is archived or rescued. Check that the app starts.'
    query: '''
traces
| where message startswith "archive.ran "
'''
  }
  {
    name: 'timer-failed'
    severity: 2
    frequency: 'PT15M'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    dimensions: []
    advice: 'The archive timer failed three times in half an hour. Read the exception; chunks go on being ingested meanwhile.'
    query: '''
requests
| where name == "archive_recordings" and success == false
'''
  }
  {
    name: 'recording-not-archived'
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 2
    dimensions: byRecording
    advice: 'The timer could not archive one recording three times in an hour. The others are not held up.'
    query: '''
traces
| where message startswith "recording.not_archived "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), reason = tostring(fields.reason)
'''
  }
  {
    name: 'poison-message'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    advice: 'A chunk or an event failed five times in a row. The timer tries it again; find out what fails.'
    query: '''
traces
| where message startswith "event.not_taken "
    or (message startswith "Message has reached MaxDequeueCount"
        and (message contains "recording-chunks-poison" or message contains "recording-events-poison"))
'''
  }
  {
    name: 'event-quarantined'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    advice: 'An event could not be understood. Read it in the quarantine container: it may be about a recording that nobody fetches.'
    query: '''
traces
| where message startswith "event.quarantined "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, blob = tostring(fields.blob), reasons = tostring(fields.reasons)
'''
  }
  {
    name: 'recording-start-failed'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    advice: 'ACS had taken a start and then could not record. Nothing is started again by itself: if the call still goes on, start it again.'
    query: '''
traces
| where message startswith "recording.start_failed "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingId = tostring(fields.recordingId), serverCallId = tostring(fields.serverCallId), code = toint(fields.code), subCode = toint(fields.subCode), reason = tostring(fields.message)
'''
  }
  {
    name: 'source-not-deleted'
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 2
    dimensions: byRecording
    advice: 'A chunk that is safe in the archive could not be deleted at ACS in three runs. Nothing is lost; ACS deletes it itself at its deadline.'
    query: '''
traces
| where message startswith "source.not_deleted "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, recordingKey = tostring(fields.recordingKey), documentId = tostring(fields.documentId), reason = tostring(fields.reason)
'''
  }
  {
    name: 'recording-refused'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    advice: 'AUTO_RECORD could not start a recording, and will not try again for that call. If the call still goes on, start it by hand.'
    query: '''
traces
| where message startswith "auto_record.refused "
| extend fields = parse_json(substring(message, indexof(message, "{")))
| project timestamp, eventId = tostring(fields.eventId), reason = tostring(fields.reason)
'''
  }
]

resource fromLogs 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [for rule in queryRules: {
  name: '${rule.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.name
    description: '${rule.advice} ${runbookUrl}#${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    overrideQueryTimeRange: rule.?range
    autoMitigate: true
    // A first deployment has no telemetry to check a query against.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: rule.operator
          threshold: rule.threshold
          dimensions: rule.dimensions
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]

var metricRules = [
  {
    name: 'delivery-failing'
    metric: 'DeliveryAttemptFailCount'
    severity: 2
    threshold: 3
    advice: 'Event Grid cannot hand events to the app. It tries for hours, ever more seldom; what comes late has less time left.'
  }
  {
    name: 'event-dead-lettered'
    metric: 'DeadLetteredCount'
    severity: 1
    threshold: 0
    advice: 'Event Grid has given up on an event. Its recording is fetched by nobody until the event is handed in again.'
  }
  {
    name: 'event-dropped'
    metric: 'DroppedEventCount'
    severity: 0
    threshold: 0
    advice: 'Event Grid has given up on an event and could not even dead-letter it: the app will never hear of its recording.'
  }
]

resource fromMetrics 'Microsoft.Insights/metricAlerts@2026-01-01' = [for rule in metricRules: {
  name: '${rule.name}-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: '${rule.advice} ${runbookUrl}#${rule.name}'
    severity: rule.severity
    enabled: true
    scopes: [
      eventTopicId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.metric
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: rule.metric
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: rule.threshold
        }
      ]
    }
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}]
